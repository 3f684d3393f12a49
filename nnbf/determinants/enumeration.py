"""Enumeration of a symmetry sector: all determinants of given electron numbers and irrep."""

from itertools import combinations
from math import comb

import numpy as np

from nnbf.determinants.configurations import spin_flip_representatives, words_per_spin


def sector_dimension(n_orbitals: int, n_alpha: int, n_beta: int) -> int:
    """Number of determinants with the given electrons, before point-group symmetry."""
    return comb(n_orbitals, n_alpha) * comb(n_orbitals, n_beta)


def enumerate_sector(
    n_orbitals: int,
    n_alpha: int,
    n_beta: int,
    irreps: np.ndarray | None = None,
    irrep: int = 0,
    fold: bool = False,
) -> np.ndarray:
    """All determinants of a sector.

    Args:
        n_orbitals: Spatial orbitals M.
        n_alpha: Alpha electrons.
        n_beta: Beta electrons.
        irreps: (M,) codes of the orbital irreps, products by XOR; None for no point group.
        irrep: Code of the wanted irrep.
        fold: Keep one representative of every spin-flip pair (needs ``n_alpha == n_beta``).

    Returns:
        (n, 2 W) bit strings.
    """
    alpha, alpha_irreps = _strings(n_orbitals, n_alpha, irreps)
    beta, beta_irreps = _strings(n_orbitals, n_beta, irreps)
    blocks = []
    for code in np.unique(alpha_irreps):
        left = alpha[alpha_irreps == code]
        right = beta[beta_irreps == (code ^ irrep)]
        block = np.concatenate([np.repeat(left, len(right), axis=0), np.tile(right, (len(left), 1))], axis=1)
        if fold:
            block = block[np.all(spin_flip_representatives(block) == block, axis=1)]
        blocks.append(block)
    return np.concatenate(blocks)


def determinant_irrep(occupied_alpha, occupied_beta, irreps: np.ndarray) -> int:
    """XOR code of a determinant's irrep from the codes of its occupied orbitals."""
    code = 0
    for p in (*occupied_alpha, *occupied_beta):
        code ^= int(irreps[p])
    return code


def _strings(n_orbitals, n_electrons, irreps):
    n_words = words_per_spin(n_orbitals)
    count = comb(n_orbitals, n_electrons)
    orbitals = np.array(list(combinations(range(n_orbitals), n_electrons)), dtype=np.int64)
    orbitals = orbitals.reshape(count, n_electrons)
    strings = np.zeros((count, n_words), dtype=np.uint64)
    codes = np.zeros(count, dtype=np.int64)
    for column in orbitals.T:
        strings[np.arange(count), column >> 6] |= np.uint64(1) << (column & 63).astype(np.uint64)
        if irreps is not None:
            codes ^= np.asarray(irreps, dtype=np.int64)[column]
    return strings, codes
