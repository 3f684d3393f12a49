"""Hamiltonians as NetKet operators, with local-energy kernels that NetKet dispatches to."""

from nnbf.operators.connections import Connections
from nnbf.operators.hamiltonian import Hamiltonian
from nnbf.operators.lattice import LatticeHamiltonian, lattice_hilbert
from nnbf.operators.local_energy import local_energies, local_energy_kernel, merged_connections
from nnbf.operators.molecular import MolecularHamiltonian

__all__ = [
    "Connections",
    "Hamiltonian",
    "LatticeHamiltonian",
    "MolecularHamiltonian",
    "lattice_hilbert",
    "local_energies",
    "local_energy_kernel",
    "merged_connections",
]
