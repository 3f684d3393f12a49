"""Sampling |psi|^2: proposals for Metropolis chains (excitations, hops), exact sampling of a sector."""

from nnbf.sampling.enumerated import SectorSampler
from nnbf.sampling.excitation_rule import ExcitationRule
from nnbf.sampling.hops import HopRule, OrbitalHopRule, ordered_configuration
from nnbf.sampling.value_sampler import ValueSampler

__all__ = [
    "ExcitationRule",
    "HopRule",
    "OrbitalHopRule",
    "SectorSampler",
    "ValueSampler",
    "ordered_configuration",
]
