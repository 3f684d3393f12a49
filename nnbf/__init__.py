"""nnbf: neural backflow for interacting electrons, on NetKet, JAX and Flax.

The public names are loaded on first use, so that ``import nnbf`` stays quick. docs/api.md has them on one
page; everything else is imported from its package.
"""

# ruff: noqa: F401 (type checkers read the imports, the program the table)
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamiltonians import DataProblem, Lattice, Molecule
    from nnbf.ansatz import EquivariantBackflow, NeuralBackflow, register_ansatz
    from nnbf.drivers import (
        GeneralOptions,
        LatticeOptions,
        Level,
        Monitor,
        Outcome,
        SolverOptions,
        charge_excitations,
        register_problem,
        solve,
        spectrum,
    )
    from nnbf.estimate import Estimate
    from nnbf.operators import Connections, Hamiltonian, LatticeHamiltonian, MolecularHamiltonian
    from nnbf.optimize import FirstOrder, RayleighGaussNewton, StochasticReconfiguration
    from nnbf.states import Exclude, Objective, Space, SpaceState, SpinPenalty

_PLACES = {
    "hamiltonians": ("DataProblem", "Lattice", "Molecule"),
    "nnbf.ansatz": ("EquivariantBackflow", "NeuralBackflow", "register_ansatz"),
    "nnbf.drivers": (
        "GeneralOptions", "LatticeOptions", "Level", "Monitor", "Outcome", "SolverOptions",
        "charge_excitations", "register_problem", "solve", "spectrum",
    ),
    "nnbf.estimate": ("Estimate",),
    "nnbf.operators": ("Connections", "Hamiltonian", "LatticeHamiltonian", "MolecularHamiltonian"),
    "nnbf.optimize": ("FirstOrder", "RayleighGaussNewton", "StochasticReconfiguration"),
    "nnbf.states": ("Exclude", "Objective", "Space", "SpaceState", "SpinPenalty"),
}  # fmt: skip
_LAZY = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted(_LAZY)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load a public name, with double precision switched on first."""
    if name not in _LAZY:
        raise AttributeError(f"module 'nnbf' has no attribute {name!r}")
    from nnbf._runtime import enable_double_precision

    enable_double_precision()
    return getattr(import_module(_LAZY[name]), name)
