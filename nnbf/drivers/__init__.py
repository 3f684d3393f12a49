"""Optimisation drivers and the one-call solver.

Names are loaded on first use: options can be read, and refused, without waiting for NetKet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnbf.drivers.ground_state import SolveResult, make_model, make_optimizer, solve
    from nnbf.drivers.growth import Growth
    from nnbf.drivers.options import SolverOptions
    from nnbf.drivers.selected import SelectedSpaceDriver

_LAZY = {
    "Growth": "growth",
    "SelectedSpaceDriver": "selected",
    "SolveResult": "ground_state",
    "SolverOptions": "options",
    "make_model": "ground_state",
    "make_optimizer": "ground_state",
    "solve": "ground_state",
}

__all__ = [
    "Growth",
    "SelectedSpaceDriver",
    "SolveResult",
    "SolverOptions",
    "make_model",
    "make_optimizer",
    "solve",
]


def __getattr__(name: str) -> Any:
    """Load a public name."""
    if name in _LAZY:
        return getattr(import_module(f"nnbf.drivers.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'nnbf.drivers' has no attribute {name!r}")
