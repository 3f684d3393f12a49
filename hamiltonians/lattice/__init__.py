"""Lattice models: clusters, symmetry, exact levels, Hartree-Fock."""
