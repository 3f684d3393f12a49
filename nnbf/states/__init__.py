"""Variational states."""

from nnbf.states.complement import ComplementCoupling, extended_state
from nnbf.states.estimates import (
    ConnectedEstimates,
    connected_estimates,
    full_sum_energy,
    reference_sector,
    sector_amplitudes,
    spin_square,
    symmetry_sector,
)
from nnbf.states.objective import Exclude, Objective, SpinPenalty
from nnbf.states.sampled import (
    DistinctSamples,
    SampledStep,
    distinct_samples,
    sampled_step,
)
from nnbf.states.space import Space
from nnbf.states.space_state import SpaceState
from nnbf.states.surroundings import Surroundings, drawn_occupations

__all__ = [
    "ComplementCoupling",
    "ConnectedEstimates",
    "DistinctSamples",
    "Exclude",
    "Objective",
    "SampledStep",
    "Space",
    "SpaceState",
    "SpinPenalty",
    "Surroundings",
    "connected_estimates",
    "distinct_samples",
    "drawn_occupations",
    "extended_state",
    "full_sum_energy",
    "reference_sector",
    "sampled_step",
    "sector_amplitudes",
    "spin_square",
    "symmetry_sector",
]
