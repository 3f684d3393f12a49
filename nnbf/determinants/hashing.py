"""Hash table from bit strings to row numbers (open addressing, linear probing)."""

from typing import NamedTuple

import numpy as np

from hamiltonians.compiled import compiled


@compiled(inline="always")
def hash_words(words):
    """Mix the words of one bit string into 64 bits (finaliser of splitmix64 after each word)."""
    h = np.uint64(0x9E3779B97F4A7C15)
    for w in range(words.shape[0]):
        h ^= words[w]
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h ^= h >> np.uint64(31)
    return h


@compiled(inline="always")
def same_words(left, right):
    """Whether two bit strings agree."""
    for w in range(left.shape[0]):
        if left[w] != right[w]:
            return False
    return True


@compiled()
def canonicalise(words):
    """Exchange the spin strings in place if that gives the smaller bit string; 1 if both agree, else 2."""
    n_words = words.shape[0] // 2
    for w in range(n_words - 1, -1, -1):
        alpha, beta = words[w], words[n_words + w]
        if alpha < beta:
            return 2
        if beta < alpha:
            for v in range(n_words):
                words[v], words[n_words + v] = words[n_words + v], words[v]
            return 2
    return 1


@compiled()
def find(slots, keys, words, h):
    """Row of ``words`` in ``keys``, or ``-1 - slot`` where it would be put."""
    mask = slots.shape[0] - 1
    slot = np.int64(h & np.uint64(mask))
    while True:
        row = slots[slot]
        if row < 0:
            return -1 - slot
        if same_words(keys[row], words):
            return row
        slot = (slot + 1) & mask


@compiled()
def fill(slots, keys, count):
    """Enter the first ``count`` rows of ``keys``; the first that is there already, or -1."""
    for row in range(count):
        position = find(slots, keys, keys[row], hash_words(keys[row]))
        if position >= 0:
            return row
        slots[-1 - position] = row
    return -1


def table_size(n_keys: int) -> int:
    """Power of two that keeps the load at one half or less."""
    return 1 << max(4, int(2 * n_keys).bit_length())


def build_hash_table(determinants: np.ndarray) -> np.ndarray:
    """Slots (int64, power-of-two length) that map the rows of ``determinants`` to their numbers.

    Raises:
        ValueError: If a determinant occurs twice.
    """
    slots = np.full(table_size(len(determinants)), -1, dtype=np.int64)
    duplicate = fill(slots, determinants, len(determinants))
    if duplicate >= 0:
        raise ValueError(f"determinant {duplicate} occurs twice")
    return slots


@compiled()
def merge_equal(determinants):
    """Distinct bit strings in order of first encounter, and the number of each row's among them.

    Args:
        determinants: (n, 2 W) uint64, repetitions allowed.

    Returns:
        ``(distinct (k, 2 W), index (n,))`` with ``determinants[i] == distinct[index[i]]``.
    """
    n = determinants.shape[0]
    size = 16
    while size < 2 * n:
        size *= 2
    slots = np.full(size, -1, np.int64)
    distinct = np.empty_like(determinants)
    index = np.empty(n, np.int64)
    used = 0
    for row in range(n):
        position = find(slots, distinct, determinants[row], hash_words(determinants[row]))
        if position < 0:
            slots[-1 - position] = used
            distinct[used] = determinants[row]
            position = used
            used += 1
        index[row] = position
    return distinct[:used].copy(), index


def first_rows(index: np.ndarray, count: int) -> np.ndarray:
    """First row (count,) of each distinct one, from the ``index`` (n,) that :func:`merge_equal` returned."""
    first = np.zeros(count, np.int64)
    first[index[::-1]] = np.arange(len(index))[::-1]
    return first


@compiled()
def grown(array, used, room):
    """An array with ``room`` rows that begins with the first ``used`` of the given one."""
    larger = np.empty((room, *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger


@compiled()
def _find_rows(slots, keys, queries, out):
    for row in range(queries.shape[0]):
        position = find(slots, keys, queries[row], hash_words(queries[row]))
        out[row] = position if position >= 0 else -1


def find_rows(slots: np.ndarray, keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Row number in ``keys`` of every query bit string, -1 where it is absent."""
    out = np.empty(len(queries), dtype=np.int64)
    _find_rows(slots, keys, queries, out)
    return out


class Amplitudes(NamedTuple):
    """psi of listed bit strings, 0 for all others; also a list alone. Compiled kernels take it."""

    keys: np.ndarray
    """(k, 2 W) bit strings."""
    slots: np.ndarray
    """Hash table of them."""
    values: np.ndarray
    """(k,) psi; empty where only the list matters."""
    fold: bool
    """True where bit strings are spin-flip representatives of an even state."""

    @classmethod
    def listed(cls, keys: np.ndarray, values: np.ndarray | None = None, fold: bool = False) -> "Amplitudes":
        """Make the hash table of distinct bit strings."""
        keys = np.ascontiguousarray(keys)
        values = np.zeros(0) if values is None else np.asarray(values, dtype=np.float64)
        return cls(keys, build_hash_table(keys), values, bool(fold))


@compiled()
def lookup(psi, words, work):
    """Amplitude of one bit string, 0 where it is absent; ``work`` is overwritten."""
    work[:] = words
    if psi.fold:
        canonicalise(work)
    position = find(psi.slots, psi.keys, work, hash_words(work))
    return psi.values[position] if position >= 0 else 0.0
