"""Determinants as bit strings: Slater-Condon rules, connected spaces, sectors."""

from nnbf.determinants.configurations import (
    determinant_from_orbitals,
    occupied_spin_orbitals,
    pack_occupations,
    spin_flip,
    spin_flip_multiplicity,
    spin_flip_representatives,
    unpack_occupations,
    words_per_spin,
)
from nnbf.determinants.enumeration import determinant_irrep, enumerate_sector, sector_dimension
from nnbf.determinants.hashing import build_hash_table, find_rows
from nnbf.determinants.slater_condon import diagonal_elements, max_connections
from nnbf.determinants.spaces import (
    ConnectedSpace,
    connected_space,
    hamiltonian_matrix,
    multiplicities,
    rectangular_matrix,
    symmetrised,
)
from nnbf.determinants.tables import IntegralTables, build_tables

__all__ = [
    "ConnectedSpace",
    "IntegralTables",
    "build_hash_table",
    "build_tables",
    "connected_space",
    "determinant_from_orbitals",
    "determinant_irrep",
    "diagonal_elements",
    "enumerate_sector",
    "find_rows",
    "hamiltonian_matrix",
    "max_connections",
    "multiplicities",
    "occupied_spin_orbitals",
    "pack_occupations",
    "rectangular_matrix",
    "sector_dimension",
    "spin_flip",
    "spin_flip_multiplicity",
    "spin_flip_representatives",
    "symmetrised",
    "unpack_occupations",
    "words_per_spin",
]
