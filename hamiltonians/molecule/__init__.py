"""Molecules: geometry, mean field, orbitals, active space, reference energies."""
