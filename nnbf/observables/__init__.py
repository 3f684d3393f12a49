"""Observables of states, from expansions in determinants or from samples."""

from nnbf.observables.density import TwoBodyDensity
from nnbf.observables.exact import observables_of
from nnbf.observables.expansion import Expansion
from nnbf.observables.natural import NaturalOrbitals, natural_orbital_system
from nnbf.observables.result import Estimate, Observables
from nnbf.observables.sampled import sampled_observables
from nnbf.observables.samples import Samples
from nnbf.observables.spin import s_squared

__all__ = [
    "Estimate",
    "Expansion",
    "NaturalOrbitals",
    "Observables",
    "Samples",
    "TwoBodyDensity",
    "natural_orbital_system",
    "observables_of",
    "s_squared",
    "sampled_observables",
]
