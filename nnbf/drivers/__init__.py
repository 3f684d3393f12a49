"""Optimisation drivers and the one-call solver."""

from nnbf.drivers.growth import Growth
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.selected import SelectedSpaceDriver
from nnbf.drivers.solve import SolveResult, make_model, make_optimizer, solve

__all__ = [
    "Growth",
    "SelectedSpaceDriver",
    "SolveResult",
    "SolverOptions",
    "make_model",
    "make_optimizer",
    "solve",
]
