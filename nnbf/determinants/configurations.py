"""Configurations as bit strings: any modes, determinants of two spins, and all of a symmetry sector.

Bit ``p & 63`` of word ``p >> 6`` is the occupation of mode ``p`` (little endian, 64-bit words). A
determinant of M spatial orbitals is one row of ``2 W`` words, ``W = ceil(M / 64)``: first the W words of the
alpha string, then the W words of the beta string. Spin orbitals are blocked in the same order: all alpha,
then all beta, which also fixes the phase convention ``|n> = prod_alpha c+_p prod_beta c+_q |vac>`` with
orbital indices ascending.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

WORD_BITS = 64


def words_per_spin(n_orbitals: int) -> int:
    """Number of 64-bit words that one spin string of ``n_orbitals`` needs (at least one)."""
    return max(1, -(-n_orbitals // WORD_BITS))


def pack_modes(occupations: np.ndarray) -> np.ndarray:
    """Bit strings (n, W) of uint64, ``W = ceil(modes / 64)``, of 0/1 occupations (n, modes)."""
    occupations = np.asarray(occupations)
    n_rows, n_modes = occupations.shape
    bits = np.zeros((n_rows, words_per_spin(n_modes) * WORD_BITS), dtype=np.uint8)
    bits[:, :n_modes] = occupations != 0
    return np.packbits(bits, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def unpack_modes(configurations: np.ndarray, n_modes: int) -> np.ndarray:
    """0/1 occupations (n, modes) of uint8 of bit strings (n, W)."""
    octets = np.ascontiguousarray(configurations, dtype="<u8").view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little")[:, :n_modes]


def pack_occupations(occupations: np.ndarray) -> np.ndarray:
    """Pack 0/1 occupations into bit strings.

    Args:
        occupations: Array (n, 2 M) of zeros and ones, alpha block first.

    Returns:
        Array (n, 2 W) of uint64.

    Raises:
        ValueError: If the second dimension is odd.
    """
    occupations = np.asarray(occupations)
    n_samples, n_spin_orbitals = occupations.shape
    if n_spin_orbitals % 2:
        raise ValueError(f"occupations need an even number of spin orbitals, got {n_spin_orbitals}")
    n_orbitals = n_spin_orbitals // 2
    strings = pack_modes(occupations.reshape(2 * n_samples, n_orbitals))
    return strings.reshape(n_samples, 2 * strings.shape[1])


def unpack_occupations(determinants: np.ndarray, n_orbitals: int) -> np.ndarray:
    """Unpack bit strings (n, 2 W) into 0/1 occupations (n, 2 M) of uint8, alpha block first."""
    determinants = np.asarray(determinants)
    n_samples, n_total = determinants.shape
    strings = unpack_modes(determinants.reshape(2 * n_samples, n_total // 2), n_orbitals)
    return np.ascontiguousarray(strings).reshape(n_samples, 2 * n_orbitals)


def determinant_from_orbitals(alpha: Sequence[int], beta: Sequence[int], n_orbitals: int) -> np.ndarray:
    """Bit string (1, 2 W) of the determinant with the given occupied alpha and beta orbitals."""
    occupations = np.zeros((1, 2 * n_orbitals), dtype=np.uint8)
    occupations[0, list(alpha)] = 1
    occupations[0, [n_orbitals + q for q in beta]] = 1
    return pack_occupations(occupations)


def occupied_spin_orbitals(determinants: np.ndarray, n_orbitals: int) -> np.ndarray:
    """Indices (n, N) of the occupied spin orbitals in ascending order (beta offset by M).

    Raises:
        ValueError: If the determinants do not all have the same number of electrons.
    """
    occupations = unpack_occupations(determinants, n_orbitals)
    counts = occupations.sum(axis=1, dtype=np.int64)
    n_electrons = int(counts[0]) if len(counts) else 0
    if np.any(counts != n_electrons):
        raise ValueError("determinants differ in their number of electrons")
    return np.nonzero(occupations)[1].reshape(len(determinants), n_electrons)


def spin_flip(determinants: np.ndarray) -> np.ndarray:
    """Exchange the alpha and beta strings of every determinant."""
    n_words = determinants.shape[1] // 2
    return np.concatenate([determinants[:, n_words:], determinants[:, :n_words]], axis=1)


def spin_flip_representatives(determinants: np.ndarray) -> np.ndarray:
    """Map every determinant to the smaller of itself and its spin flip (lexicographic, top word first).

    Only meaningful where the numbers of alpha and beta electrons agree.
    """
    flipped = spin_flip(determinants)
    n_words = determinants.shape[1] // 2
    smaller = np.zeros(len(determinants), dtype=bool)
    undecided = np.ones(len(determinants), dtype=bool)
    for word in range(n_words - 1, -1, -1):
        alpha, beta = determinants[:, word], determinants[:, n_words + word]
        smaller |= undecided & (beta < alpha)
        undecided &= alpha == beta
    return np.where(smaller[:, None], flipped, determinants)


def multiplicities(determinants: np.ndarray, fold: bool = True) -> np.ndarray:
    """How many determinants each representative stands for (float64): 1, or 2 with a distinct flip.

    Args:
        determinants: (n, 2 W).
        fold: Whether entries stand for spin-flip pairs; else all stand for themselves.
    """
    n_words = determinants.shape[1] // 2
    same = np.all(determinants[:, :n_words] == determinants[:, n_words:], axis=1)
    return np.where(same | (not fold), 1.0, 2.0)


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


def determinant_irreps(determinants: np.ndarray, irreps: np.ndarray) -> np.ndarray:
    """XOR codes (n,) of the irreps of bit strings (n, 2 W) from those (M,) of their orbitals."""
    occupations = unpack_occupations(determinants, len(irreps))
    return np.bitwise_xor.reduce(np.where(occupations, np.tile(irreps, 2), 0), axis=1)


def strings_by_irrep(irreps: np.ndarray, n_electrons: int) -> dict[int, int]:
    """Number of strings of one spin by the XOR code of their irrep, without listing them."""
    # counts[k][code]: strings of k electrons in the orbitals so far
    counts: list[dict[int, int]] = [{0: 1}, *({} for _ in range(n_electrons))]
    for bits in map(int, irreps):
        for k in range(n_electrons, 0, -1):
            for code, count in counts[k - 1].items():
                counts[k][code ^ bits] = counts[k].get(code ^ bits, 0) + count
    return counts[n_electrons]


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
