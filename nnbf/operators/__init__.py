"""Hamiltonians as NetKet operators."""

from nnbf.operators.local_energy import local_energies
from nnbf.operators.molecular import MolecularHamiltonian

__all__ = ["MolecularHamiltonian", "local_energies"]
