"""Hamiltonians as NetKet operators, with local-energy kernels that NetKet dispatches to."""

from nnbf.operators.kernels import MergedConnections, local_energy_kernel, merged_connections
from nnbf.operators.lattice_hamiltonian import LatticeHamiltonian, lattice_connections, lattice_hilbert
from nnbf.operators.local_energy import local_energies
from nnbf.operators.molecular import MolecularHamiltonian

__all__ = [
    "LatticeHamiltonian",
    "MergedConnections",
    "MolecularHamiltonian",
    "lattice_connections",
    "lattice_hilbert",
    "local_energies",
    "local_energy_kernel",
    "merged_connections",
]
