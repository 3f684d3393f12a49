"""Configurations as 64-bit words inside jit, in the layout of the host's bit strings; equal ones merged.

Words stand in front: (W, n), one row for each word of ``nnbf.determinants.configurations``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_MOST = np.uint64(2**64 - 1)


class Merged(NamedTuple):
    """Distinct configurations of a list, in the order of their keys."""

    first: jax.Array
    """(capacity,) place in the list of one of each; what lies beyond ``total`` repeats the first."""
    position: jax.Array
    """(n,) which of them every entry is; 0 beyond the entries that count."""
    total: jax.Array
    """Number of distinct configurations, also where it is above the capacity."""


def packed(occupations: jax.Array, n_blocks: int) -> jax.Array:
    """Words (W, n) of configurations (n, modes), 0 and 1 or -1 and 1, in blocks with words of their own."""
    n, modes = occupations.shape
    size = modes // n_blocks
    bits = (occupations > 0).reshape(n, n_blocks, size)
    bits = jnp.pad(bits, [(0, 0), (0, 0), (0, -size % 64)]).reshape(n, -1, 64)
    return jnp.sum(bits.astype(jnp.uint64) << jnp.arange(64, dtype=jnp.uint64), axis=-1).T


def unpacked(words: jax.Array, n_modes: int, n_blocks: int) -> jax.Array:
    """Occupations (n, modes) bool of words (W, n)."""
    size = n_modes // n_blocks
    place = np.arange(size)
    shifts = jnp.asarray(place & 63, jnp.uint64)
    parts = jnp.split(words, n_blocks)
    bits = [(part[place >> 6].T >> shifts) & jnp.uint64(1) for part in parts]
    return jnp.concatenate(bits, axis=-1).astype(bool)


def masks(places: np.ndarray, n_words: int) -> np.ndarray:
    """Words (n_words, n) with one bit each."""
    places = np.asarray(places)
    bits = np.uint64(1) << (places & 63).astype(np.uint64)
    return np.where(np.arange(n_words)[:, None] == places >> 6, bits, np.uint64(0))


def mixed(words: jax.Array) -> jax.Array:
    """64 bits (...,) that depend on all of the words (W, ...): the finaliser of splitmix64 after each."""
    h = jnp.full(words.shape[1:], 0x9E3779B97F4A7C15, jnp.uint64)
    for word in words:
        h = h ^ word
        h = (h ^ (h >> 30)) * jnp.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> 27)) * jnp.uint64(0x94D049BB133111EB)
        h = h ^ (h >> 31)
    return h


def keys(words: jax.Array, bits: int) -> jax.Array:
    """Keys (n,) to sort words (W, n) of so many bits by: themselves where they fit, else mixed."""
    n_words = len(words)
    if n_words * bits > 64 and n_words > 1:
        return mixed(words)
    key = words[0]
    for w in range(1, n_words):
        key = key | (words[w] << jnp.uint64(w * bits))
    return key


def flipped_representatives(words: jax.Array) -> jax.Array:
    """The smaller (W, ...) of a configuration and its spin flip, as ``spin_flip_representatives`` has it."""
    alpha, beta = jnp.split(words, 2)
    smaller = jnp.zeros(words.shape[1:], bool)
    undecided = jnp.ones(words.shape[1:], bool)
    for a, b in zip(alpha[::-1], beta[::-1], strict=True):
        smaller = smaller | (undecided & (b < a))
        undecided = undecided & (a == b)
    return jnp.where(smaller, jnp.concatenate([beta, alpha]), words)


def merge_equal_words(words: jax.Array, count: jax.Array, bits: int, capacity: int) -> Merged:
    """Merge the first ``count`` of configurations (W, n); equal mixed keys of different words do no harm.

    Args:
        words: (W, n).
        count: Entries that count; they stand first.
        bits: Of a word that are used, at most.
        capacity: Distinct configurations that there is room for.
    """
    n = words.shape[1]
    every = jnp.arange(n, dtype=jnp.int32)
    counts = every < count
    # Entries that do not count come last, also behind a configuration whose bits are all set.
    key = jnp.where(counts, keys(words, bits), _MOST)
    key, order = jax.lax.sort((key, every), num_keys=1, is_stable=True)
    exact = len(words) * bits <= 64 or len(words) == 1
    ordered = key[None] if exact else words[:, order]
    differs = jnp.any(ordered[:, 1:] != ordered[:, :-1], axis=0)
    is_new = jnp.concatenate([jnp.ones(1, bool), differs]) & counts
    group = jnp.cumsum(is_new, dtype=jnp.int32) - 1
    position = jnp.zeros(n, jnp.int32).at[order].set(jnp.where(counts, group, 0), unique_indices=True)
    number = group[-1] + 1
    place = jnp.searchsorted(group, jnp.arange(capacity, dtype=jnp.int32), side="left").astype(jnp.int32)
    first = jnp.where(jnp.arange(capacity) < number, order[jnp.minimum(place, n - 1)], order[0])
    return Merged(first, position, number)
