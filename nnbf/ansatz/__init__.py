"""Wave functions as Flax modules."""

from nnbf._runtime import enable_double_precision
from nnbf.ansatz.backflow import NeuralBackflow
from nnbf.ansatz.equivariant import EquivariantBackflow, ProjectedBackflow
from nnbf.ansatz.named_networks import DenseNetwork, ProjectedNetwork, named_network
from nnbf.ansatz.orbitals import LatticeOrbitals, free_orbitals, given_orbitals
from nnbf.ansatz.registry import ansatz_from_spec, ansatz_spec, register_ansatz, register_function
from nnbf.ansatz.staggered import staggered_orbitals
from nnbf.ansatz.symmetry import SymmetryElements

__all__ = [
    "DenseNetwork",
    "EquivariantBackflow",
    "LatticeOrbitals",
    "NeuralBackflow",
    "ProjectedBackflow",
    "ProjectedNetwork",
    "SymmetryElements",
    "ansatz_from_spec",
    "ansatz_spec",
    "free_orbitals",
    "given_orbitals",
    "named_network",
    "register_ansatz",
    "register_function",
    "staggered_orbitals",
]

# Parameters are doubles by default, whichever name of the package is imported first.
enable_double_precision()
