"""Excited determinants without regard to a Hamiltonian: what observables reach from given ones."""

from typing import Literal

import numpy as np
from numba import njit

from nnbf.determinants.density_sums import _toggle
from nnbf.determinants.hashing import merge_equal
from nnbf.determinants.parallel import map_row_blocks
from nnbf.determinants.slater_condon import _empty, occupied_orbitals

_MODES = {"exchange": 0, "mixed": 1, "all": 2}


def excited_determinants(
    determinants: np.ndarray,
    irreps: np.ndarray,
    doubles: Literal["exchange", "mixed", "all"],
) -> np.ndarray:
    """The given determinants, and all that singles and some doubles reach from them, each once.

    Args:
        determinants: (n, 2 W) distinct bit strings.
        irreps: (M,) XOR codes of the orbitals; what leaves the irrep is left out. Zeros switch this off.
        doubles: "exchange": only exchanges of the spins of two singly occupied orbitals; "mixed": one
            alpha and one beta electron; "all": all.

    Returns:
        (k, 2 W), beginning with ``determinants``.
    """
    parts = map_row_blocks(
        lambda lo, hi: _excited_rows(determinants, irreps, _MODES[doubles], lo, hi), len(determinants)
    )
    merged, _ = merge_equal(np.concatenate([determinants, *(merge_equal(part)[0] for part in parts)]))
    return merged


@njit(cache=True, nogil=True)
def _room_for(out, used, more):
    if used + more <= out.shape[0]:
        return out
    larger = np.empty((max(2 * out.shape[0], used + more), out.shape[1]), np.uint64)
    larger[:used] = out[:used]
    return larger


@njit(cache=True, nogil=True)
def _excited_rows(determinants, irreps, mode, lo, hi):
    n = irreps.shape[0]
    n_words = determinants.shape[1] // 2
    occupied = np.empty((2, n), np.int64)
    parity = np.empty(n + 1, np.int64)
    counts = np.empty(2, np.int64)
    out = np.empty((1024, determinants.shape[1]), np.uint64)
    used = 0
    for row in range(lo, hi):
        determinant = determinants[row]
        for spin in range(2):
            counts[spin] = occupied_orbitals(determinant, spin, n, occupied[spin], parity)
        for spin in range(2):
            offset = spin * n_words
            for x in range(counts[spin]):
                i = occupied[spin, x]
                out = _room_for(out, used, n)
                for a in range(n):
                    if irreps[i] == irreps[a] and _empty(determinant, offset, a):
                        out[used] = determinant
                        _toggle(out[used], offset, i)
                        _toggle(out[used], offset, a)
                        used += 1
                if mode < 2:
                    continue
                for y in range(x):
                    j = occupied[spin, y]
                    out = _room_for(out, used, n * n)
                    for a in range(n):
                        if not _empty(determinant, offset, a):
                            continue
                        for b in range(a):
                            code = irreps[i] ^ irreps[j] ^ irreps[a] ^ irreps[b]
                            if code == 0 and _empty(determinant, offset, b):
                                out[used] = determinant
                                _toggle(out[used], offset, i)
                                _toggle(out[used], offset, j)
                                _toggle(out[used], offset, a)
                                _toggle(out[used], offset, b)
                                used += 1
        for x in range(counts[0]):
            i = occupied[0, x]
            for y in range(counts[1]):
                j = occupied[1, y]
                out = _room_for(out, used, n * n)
                for a in range(n):
                    if not _empty(determinant, 0, a) or (mode == 0 and a != j):
                        continue
                    for b in range(n):
                        if not _empty(determinant, n_words, b) or (mode == 0 and b != i):
                            continue
                        if irreps[i] ^ irreps[j] ^ irreps[a] ^ irreps[b]:
                            continue
                        out[used] = determinant
                        _toggle(out[used], 0, i)
                        _toggle(out[used], 0, a)
                        _toggle(out[used], n_words, j)
                        _toggle(out[used], n_words, b)
                        used += 1
    return out[:used].copy()
