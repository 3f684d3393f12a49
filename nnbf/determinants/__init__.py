"""Determinants as bit strings: Slater-Condon rules, connected spaces, sectors."""

from nnbf.determinants.configurations import (
    determinant_from_orbitals,
    determinant_irreps,
    enumerate_sector,
    multiplicities,
    occupied_spin_orbitals,
    pack_occupations,
    sector_dimension,
    spin_flip,
    spin_flip_representatives,
    unpack_occupations,
    words_per_spin,
)
from nnbf.determinants.hashing import Amplitudes, build_hash_table, find_rows
from nnbf.determinants.integral_tables import IntegralTables, build_tables
from nnbf.determinants.rows import ConnectedSpace, connected_space, hamiltonian_matrix, symmetrised
from nnbf.determinants.slater_condon import diagonal_elements, max_connections

__all__ = [
    "Amplitudes",
    "ConnectedSpace",
    "IntegralTables",
    "build_hash_table",
    "build_tables",
    "connected_space",
    "determinant_from_orbitals",
    "determinant_irreps",
    "diagonal_elements",
    "enumerate_sector",
    "find_rows",
    "hamiltonian_matrix",
    "max_connections",
    "multiplicities",
    "occupied_spin_orbitals",
    "pack_occupations",
    "sector_dimension",
    "spin_flip",
    "spin_flip_representatives",
    "symmetrised",
    "unpack_occupations",
    "words_per_spin",
]
