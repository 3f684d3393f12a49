"""nnbf: neural backflow for interacting electrons, on NetKet, JAX and Flax.

The public names are loaded on first use, so that ``import nnbf`` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnbf.ansatz import NeuralBackflow
    from nnbf.drivers import (
        Growth,
        LatticeOptions,
        Level,
        MonteCarloDriver,
        Outcome,
        SelectedSpaceDriver,
        SolverOptions,
        charge_excitations,
        solve,
        spectrum,
    )
    from nnbf.operators import MolecularHamiltonian, local_energies
    from nnbf.optimize import FirstOrder, RayleighGaussNewton, StochasticReconfiguration
    from nnbf.states import SpaceState

__all__ = [
    "FirstOrder",
    "Growth",
    "LatticeOptions",
    "Level",
    "MolecularHamiltonian",
    "MonteCarloDriver",
    "NeuralBackflow",
    "Outcome",
    "RayleighGaussNewton",
    "SelectedSpaceDriver",
    "SolverOptions",
    "SpaceState",
    "StochasticReconfiguration",
    "charge_excitations",
    "local_energies",
    "solve",
    "spectrum",
]
__version__ = "0.1.0"

_LAZY = {
    "FirstOrder": "nnbf.optimize",
    "Growth": "nnbf.drivers",
    "LatticeOptions": "nnbf.drivers",
    "Level": "nnbf.drivers",
    "Outcome": "nnbf.drivers",
    "MolecularHamiltonian": "nnbf.operators",
    "MonteCarloDriver": "nnbf.drivers",
    "NeuralBackflow": "nnbf.ansatz",
    "RayleighGaussNewton": "nnbf.optimize",
    "SelectedSpaceDriver": "nnbf.drivers",
    "SpaceState": "nnbf.states",
    "SolverOptions": "nnbf.drivers",
    "StochasticReconfiguration": "nnbf.optimize",
    "local_energies": "nnbf.operators",
    "solve": "nnbf.drivers",
    "spectrum": "nnbf.drivers",
    "charge_excitations": "nnbf.drivers",
}


def __getattr__(name: str) -> Any:
    """Load a public name, with double precision switched on first."""
    if name not in _LAZY:
        raise AttributeError(f"module 'nnbf' has no attribute {name!r}")
    from nnbf._precision import enable_double_precision

    enable_double_precision()
    return getattr(import_module(_LAZY[name]), name)
