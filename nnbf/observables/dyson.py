r"""Dyson orbitals: what an electron that leaves a molecule, or comes to it, was or will be like.

.. math:: d_p = \langle N-1 | a_{p\sigma} | N \rangle, \qquad |d|^2 = \sum_p d_p^2

The squared norm is the weight of the transition in photoelectron spectra (pole strength): near 1 for main
lines, small for satellites.
"""

import numpy as np

from nnbf.determinants import build_hash_table, find_rows, unpack_occupations
from nnbf.determinants.configurations import pack_occupations


def dyson_orbital(
    more: tuple[np.ndarray, np.ndarray], less: tuple[np.ndarray, np.ndarray], n_orbitals: int
) -> np.ndarray | None:
    """Dyson orbital (M,) between states of N and N - 1 electrons; None where they differ in another way.

    Args:
        more: Determinants (n, 2 W) and normalised amplitudes (n,) of the state of N electrons.
        less: The same of N - 1 electrons.
        n_orbitals: M.
    """
    occupied = unpack_occupations(more[0], n_orbitals)
    counts = [
        unpack_occupations(rows[:1], n_orbitals).reshape(2, n_orbitals).sum(axis=1, dtype=int)
        for rows in (more[0], less[0])
    ]
    change = (counts[0] - counts[1]).tolist()
    if change not in ([1, 0], [0, 1]):
        return None
    spin = change.index(1)
    slots = build_hash_table(less[0])
    below = np.cumsum(occupied, axis=1, dtype=np.int64) - occupied
    found = np.zeros(n_orbitals)
    for p in range(n_orbitals):
        mode = spin * n_orbitals + p
        rows = np.flatnonzero(occupied[:, mode])
        left = occupied[rows]
        left[:, mode] = 0
        place = find_rows(slots, less[0], pack_occupations(left))
        sign = 1 - 2 * (below[rows, mode] % 2)
        amplitudes = np.where(place >= 0, less[1][place], 0.0)
        found[p] = np.sum(sign * more[1][rows] * amplitudes)
    return found
