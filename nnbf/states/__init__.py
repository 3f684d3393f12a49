"""Variational states."""

from nnbf.states.estimates import (
    ConnectedEstimates,
    connected_estimates,
    full_sum_energy,
    sector_amplitudes,
    spin_square,
    symmetry_sector,
)
from nnbf.states.extended import extended_state
from nnbf.states.lattice_sampled import lattice_samples, lattice_step
from nnbf.states.outside import OutsideCoupling
from nnbf.states.penalty import SpinPenalty
from nnbf.states.sampled import (
    DistinctSamples,
    SampledStep,
    distinct_samples,
    sampled_step,
    weighted_statistics,
)
from nnbf.states.selected import SelectedState

__all__ = [
    "ConnectedEstimates",
    "DistinctSamples",
    "OutsideCoupling",
    "SampledStep",
    "SelectedState",
    "SpinPenalty",
    "connected_estimates",
    "distinct_samples",
    "extended_state",
    "full_sum_energy",
    "lattice_samples",
    "lattice_step",
    "sampled_step",
    "sector_amplitudes",
    "spin_square",
    "symmetry_sector",
    "weighted_statistics",
]
