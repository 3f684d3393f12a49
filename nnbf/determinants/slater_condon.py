"""Slater-Condon rules on bit strings: diagonal elements and all connections of one determinant.

The compiled kernels here release the GIL, so that callers spread rows over threads. Matrix
elements follow Szabo and Ostlund, Modern Quantum Chemistry, tables 2.3 and 2.4.
"""

from typing import NamedTuple

import numpy as np

from hamiltonians.compiled import compiled
from nnbf.determinants.integral_tables import IntegralTables
from nnbf.determinants.parallel import map_row_blocks


def diagonal_elements(tables: IntegralTables, determinants: np.ndarray) -> np.ndarray:
    """Diagonal Hamiltonian elements (n,) of determinants (n, 2 W), Hartree, constant included."""
    out = np.empty(len(determinants))
    map_row_blocks(lambda lo, hi: _diagonal_rows(tables, determinants, lo, hi, out), len(determinants))
    return out


def max_connections(n_orbitals: int, n_alpha: int, n_beta: int) -> int:
    """Upper bound on the number of determinants one or two excitations away from one determinant."""
    singles = [n * (n_orbitals - n) for n in (n_alpha, n_beta)]
    doubles = [n * (n - 1) // 2 * ((n_orbitals - n) * (n_orbitals - n - 1) // 2) for n in (n_alpha, n_beta)]
    return sum(singles) + sum(doubles) + singles[0] * singles[1]


class Scratch(NamedTuple):
    """Work arrays of :func:`connections_of`, and what it writes."""

    occupied: np.ndarray
    """(2, M) int64."""
    parity: np.ndarray
    """(2, M + 1) int64."""
    connected: np.ndarray
    """Connected bit strings, (capacity, 2 W), capacity at least ``max_connections``."""
    values: np.ndarray
    """Their matrix elements, (capacity,)."""


@compiled()
def new_scratch(n_orbitals, n_total, capacity):
    """Scratch for determinants of ``n_total`` words."""
    return Scratch(
        np.empty((2, n_orbitals), np.int64),
        np.empty((2, n_orbitals + 1), np.int64),
        np.empty((capacity, n_total), np.uint64),
        np.empty(capacity),
    )


@compiled()
def occupied_orbitals(determinant, spin, n_orbitals, occupied, parity):
    """Write the occupied orbitals of one spin and the parity of the electrons below each orbital.

    Returns the number of electrons of that spin; ``parity[p]`` counts electrons in orbitals < p, mod 2.
    """
    n_words = determinant.shape[0] // 2
    count = 0
    for p in range(n_orbitals):
        parity[p] = count & 1
        if (determinant[spin * n_words + (p >> 6)] >> np.uint64(p & 63)) & np.uint64(1):
            occupied[count] = p
            count += 1
    parity[n_orbitals] = count & 1
    return count


@compiled()
def _diagonal_rows(tables, determinants, lo, hi, out):
    n = tables.n_orbitals
    occupied = np.empty((2, n), np.int64)
    parity = np.empty(n + 1, np.int64)
    for row in range(lo, hi):
        n_alpha = occupied_orbitals(determinants[row], 0, n, occupied[0], parity)
        n_beta = occupied_orbitals(determinants[row], 1, n, occupied[1], parity)
        counts = (n_alpha, n_beta)
        energy = tables.constant
        for spin in range(2):
            for x in range(counts[spin]):
                i = occupied[spin, x]
                energy += tables.one_body[spin, i, i]
                for y in range(x):
                    energy += tables.same_single[spin, i, i, occupied[spin, y]]
        for x in range(n_alpha):
            i = occupied[0, x]
            for y in range(n_beta):
                energy += tables.other_single[0, i, i, occupied[1, y]]
        out[row] = energy


@compiled(inline="always")
def is_empty(determinant, offset, p):
    """True where orbital p holds no electron of the spin whose words begin at ``offset``."""
    return (determinant[offset + (p >> 6)] >> np.uint64(p & 63)) & np.uint64(1) == np.uint64(0)


@compiled(inline="always")
def between(parity, p, q):
    """Parity of the electrons strictly between p and q, where the lower one is occupied or p > q."""
    return parity[q] ^ parity[p + 1] if p < q else parity[p] ^ parity[q + 1]


@compiled()
def move(words, offset, p, q):
    """Exchange the occupations of two orbitals, one occupied and one empty; none for p = q."""
    words[offset + (p >> 6)] ^= np.uint64(1) << np.uint64(p & 63)
    words[offset + (q >> 6)] ^= np.uint64(1) << np.uint64(q & 63)


@compiled(inline="always")
def _write(out, count, determinant, n_total):
    for w in range(n_total):
        out[count, w] = determinant[w]


@compiled(inline="always")
def _flip(out, count, offset, p):
    out[count, offset + (p >> 6)] ^= np.uint64(1) << np.uint64(p & 63)


@compiled()
def connections_of(tables, determinant, threshold, scratch):
    """All determinants that the Hamiltonian reaches from one, without itself.

    Args:
        tables: :class:`IntegralTables`.
        determinant: Bit string (2 W,).
        threshold: Elements with ``|H_ij| < threshold`` are skipped (0 keeps all that are not zero).
        scratch: Receives connected bit strings and matrix elements.

    Returns:
        The number of connections written.
    """
    occupied, parity, out, values = scratch
    n = tables.n_orbitals
    n_total = determinant.shape[0]
    n_words = n_total // 2
    n_alpha = occupied_orbitals(determinant, 0, n, occupied[0], parity[0])
    n_beta = occupied_orbitals(determinant, 1, n, occupied[1], parity[1])
    counts = (n_alpha, n_beta)
    count = 0
    for spin in range(2):
        offset = spin * n_words
        n_same = counts[spin]
        n_other = counts[1 - spin]
        for x in range(n_same):
            i = occupied[spin, x]
            for a in range(n):
                if not is_empty(determinant, offset, a):
                    continue
                value = tables.one_body[spin, i, a]
                for y in range(n_same):
                    value += tables.same_single[spin, i, a, occupied[spin, y]]
                for y in range(n_other):
                    value += tables.other_single[spin, i, a, occupied[1 - spin, y]]
                if abs(value) <= 1e-13 or abs(value) < threshold:
                    continue
                _write(out, count, determinant, n_total)
                _flip(out, count, offset, i)
                _flip(out, count, offset, a)
                values[count] = -value if between(parity[spin], i, a) else value
                count += 1
        for y in range(n_same):
            j = occupied[spin, y]
            for x in range(y):
                i = occupied[spin, x]
                pair = j * (j - 1) // 2 + i
                for entry in range(tables.same_pointers[spin, pair], tables.same_pointers[spin, pair + 1]):
                    value = tables.same_values[spin, entry]
                    if abs(value) < threshold:
                        break
                    a, b = tables.same_targets[spin, entry]
                    if not (is_empty(determinant, offset, a) and is_empty(determinant, offset, b)):
                        continue
                    sign = between(parity[spin], i, a) ^ between(parity[spin], j, b)
                    low, high = (j, b) if j < b else (b, j)
                    # i has left and a has come when j moves: correct the count between j and b.
                    if low < i < high:
                        sign ^= 1
                    if low < a < high:
                        sign ^= 1
                    _write(out, count, determinant, n_total)
                    _flip(out, count, offset, i)
                    _flip(out, count, offset, j)
                    _flip(out, count, offset, a)
                    _flip(out, count, offset, b)
                    values[count] = -value if sign else value
                    count += 1
    for x in range(n_alpha):
        i = occupied[0, x]
        for y in range(n_beta):
            j = occupied[1, y]
            pair = i * n + j
            for entry in range(tables.mixed_pointers[pair], tables.mixed_pointers[pair + 1]):
                value = tables.mixed_values[entry]
                if abs(value) < threshold:
                    break
                a, b = tables.mixed_targets[entry]
                if not (is_empty(determinant, 0, a) and is_empty(determinant, n_words, b)):
                    continue
                sign = between(parity[0], i, a) ^ between(parity[1], j, b)
                _write(out, count, determinant, n_total)
                _flip(out, count, 0, i)
                _flip(out, count, 0, a)
                _flip(out, count, n_words, j)
                _flip(out, count, n_words, b)
                values[count] = -value if sign else value
                count += 1
    return count
