"""Variational states."""

from nnbf.states.estimates import (
    ConnectedEstimates,
    connected_estimates,
    full_sum_energy,
    spin_square,
    symmetry_sector,
)
from nnbf.states.extended import extended_state
from nnbf.states.selected import SelectedState

__all__ = [
    "ConnectedEstimates",
    "SelectedState",
    "connected_estimates",
    "extended_state",
    "full_sum_energy",
    "spin_square",
    "symmetry_sector",
]
