"""Optimisation drivers and the one-call solver.

Names are loaded on first use: options can be read, and refused, without waiting for NetKet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnbf.drivers.ground_state import SolveResult, make_model, make_optimizer, solve
    from nnbf.drivers.growth import Growth
    from nnbf.drivers.monitor import Monitor, OnRow
    from nnbf.drivers.monte_carlo import MonteCarloDriver
    from nnbf.drivers.options import SolverOptions
    from nnbf.drivers.selected import SelectedSpaceDriver
    from nnbf.drivers.snapshot import OnCheckpoint, ResumableDriver, Snapshot
    from nnbf.drivers.supervision import DivergenceError, Ending, Stopwatch, supervise
    from nnbf.drivers.vmc import solve_vmc

_LAZY = {
    "DivergenceError": "supervision",
    "Ending": "supervision",
    "Growth": "growth",
    "Monitor": "monitor",
    "OnRow": "monitor",
    "MonteCarloDriver": "monte_carlo",
    "OnCheckpoint": "snapshot",
    "ResumableDriver": "snapshot",
    "SelectedSpaceDriver": "selected",
    "Snapshot": "snapshot",
    "SolveResult": "ground_state",
    "SolverOptions": "options",
    "Stopwatch": "supervision",
    "make_model": "ground_state",
    "make_optimizer": "ground_state",
    "solve": "ground_state",
    "solve_vmc": "vmc",
    "supervise": "supervision",
}

__all__ = [
    "DivergenceError",
    "Ending",
    "Growth",
    "Monitor",
    "MonteCarloDriver",
    "OnCheckpoint",
    "OnRow",
    "ResumableDriver",
    "SelectedSpaceDriver",
    "Snapshot",
    "SolveResult",
    "SolverOptions",
    "Stopwatch",
    "make_model",
    "make_optimizer",
    "solve",
    "solve_vmc",
    "supervise",
]


def __getattr__(name: str) -> Any:
    """Load a public name."""
    if name in _LAZY:
        return getattr(import_module(f"nnbf.drivers.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'nnbf.drivers' has no attribute {name!r}")
