"""Rows of a Hamiltonian and what they reach, made and merged on the device; the host sees four numbers."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnbf._devices import on_host
from nnbf.determinants.rows import Rounding
from nnbf.operators.connections import Connections, rounded_up
from nnbf.operators.device_rows import DeviceRows
from nnbf.operators.device_words import flipped_representatives, merge_equal_words, mixed, packed, unpacked

#: Elements that are made at once.
SLOTS_AT_ONCE = 1 << 21
#: ... of which there is room for so many, at first, if there are.
FEW = 1 << 16
#: Elements of H below this are zero, as in the host's tables.
ZERO = 1e-13


class Sizes(NamedTuple):
    """Lengths of the arrays of one program: what there is room for."""

    rows: int
    """Distinct samples."""
    block: int
    """Connections of the rows that are made at once."""
    connections: int
    """Connections of all rows."""
    distinct: int
    """Distinct configurations among them."""


class Screening(NamedTuple):
    """Elements off the diagonal that are left out, or rounded."""

    threshold: jax.Array | float = 0.0
    """Smaller ones are left out; one for all rows, or (rows,)."""
    cut: jax.Array | float = 0.0
    """Smaller ones become this or nothing, as :class:`~nnbf.determinants.rows.Rounding` says."""
    seed: jax.Array | np.uint64 = np.uint64(0)
    """Of the random numbers; they depend on it, and on the two configurations."""


class Found(NamedTuple):
    """Connections on the device, padded as those of :meth:`Connections.padded`."""

    connections: Connections
    """Arrays of JAX."""
    first: jax.Array
    """(rows,) a sample of each distinct one."""
    counts: jax.Array
    """(4,) what there is, in the order of :class:`Sizes`; above one of these: the arrays are not whole."""


def device_connections(
    rows_of: DeviceRows,
    samples: jax.Array,
    sizes: Sizes | None = None,
    *,
    spin_flip: bool = False,
    threshold: float = 0.0,
    rounding: Rounding | None = None,
) -> tuple[Found, Sizes]:
    """Connections of samples, repeated ones merged: what ``Hamiltonian.listed`` gives, in another order.

    Args:
        rows_of: The Hamiltonian.
        samples: (n, modes).
        sizes: Those that were enough for samples like these; left out, or too small: others are tried.
        spin_flip: Whether a configuration and its spin flip are one.
        threshold: Elements off the diagonal below this are left out.
        rounding: How smaller ones among the others are rounded.

    Returns:
        What was found, and sizes that are enough.
    """
    n = len(samples)
    if sizes is None or sizes.rows < n:
        sizes = first_sizes(rows_of, n)
    cut, seed = (0.0, 0) if rounding is None else rounding
    screening = Screening(jnp.maximum(threshold, rows_of.threshold), float(cut), np.uint64(seed))
    return with_room(lambda room: _found(rows_of, samples, screening, room, spin_flip), sizes)


def with_room(make: Callable[[Sizes], Any], sizes: Sizes) -> tuple[Any, Sizes]:
    """What a program finds that needs sizes, and those that were enough.

    Args:
        make: Its result has ``counts``, (4,): what there was to find.
        sizes: To begin with.
    """
    while True:
        found = make(sizes)
        needed = on_host(found.counts).tolist()
        if all(old >= new for old, new in zip(sizes, needed, strict=True)):
            return found, sizes
        sizes = Sizes(
            *(
                old if old >= new else rounded_up(int(1.05 * new), 1024, 1.25)
                for old, new in zip(sizes, needed, strict=True)
            )
        )


def first_sizes(rows_of: DeviceRows, n: int) -> Sizes:
    """Sizes for n rows of which nothing is known."""
    rows = rounded_up(n, 16, 1.25)
    most = rows_at_once(rows_of, rows) * rows_of.n_slots
    # Of many elements an eighth is not zero: a guess.
    every = rows * rows_of.n_slots
    few = rounded_up(min(every, max(every // 8, FEW)), 1024, 1.25)
    return Sizes(rows, min(few, most), few, few)


def rows_at_once(rows_of: DeviceRows, n: int) -> int:
    """Rows whose elements are made at once: a power of two, as few as there are samples."""
    most = max(1, min(n, SLOTS_AT_ONCE // rows_of.n_slots))
    return 1 << (most.bit_length() - 1)


def bits_of_words(rows_of: DeviceRows) -> int:
    """Bits of a word that are used, at most."""
    return min(64, rows_of.n_modes // rows_of.n_blocks)


@partial(jax.jit, static_argnames=("sizes", "spin_flip"))
def _found(rows_of, samples, screening, sizes, spin_flip):
    bits = bits_of_words(rows_of)
    words = packed(samples, rows_of.n_blocks)
    if spin_flip:
        words = flipped_representatives(words)
    n = samples.shape[0]
    merged = merge_equal_words(words, n, bits, sizes.rows)
    rows = words[:, merged.first]
    listed = listed_rows(rows_of, rows, merged.total, screening, sizes, spin_flip)
    distinct = merge_equal_words(listed.words, listed.total, bits, sizes.distinct)
    connections = Connections(
        occupations=unpacked(listed.words[:, distinct.first], rows_of.n_modes, rows_of.n_blocks).astype(
            jnp.int8
        ),
        target=distinct.position,
        row=listed.row,
        element=listed.element,
        own=distinct.position[jnp.minimum(listed.start, sizes.connections - 1)],
        of_sample=merged.position,
    )
    counts = jnp.stack([merged.total, listed.longest, listed.total, distinct.total])
    return Found(connections, merged.first, counts)


class Listed(NamedTuple):
    """Connections of rows, those of a row side by side, its diagonal first."""

    words: jax.Array
    """(W, connections)."""
    row: jax.Array
    """(connections,)."""
    element: jax.Array
    """(connections,), 0 beyond the ``total``."""
    start: jax.Array
    """(rows,) place of the diagonal of every row."""
    total: jax.Array
    """How many there are."""
    longest: jax.Array
    """The most that are made at once."""


def listed_rows(
    rows_of: DeviceRows,
    rows: jax.Array,
    n_rows: jax.Array | int,
    screening: Screening,
    sizes: Sizes,
    spin_flip: bool,
) -> Listed:
    """Connections of the first ``n_rows`` of configurations (W, rows), inside jit."""
    chunk = min(rows_at_once(rows_of, rows.shape[1]), sizes.rows)
    room = -(-sizes.rows // chunk) * chunk
    rows = jnp.pad(rows, [(0, 0), (0, room - sizes.rows)], mode="edge")
    limits = jnp.pad(jnp.broadcast_to(screening.threshold, sizes.rows), (0, room - sizes.rows))
    length = sizes.connections + sizes.block
    words = jnp.zeros((len(rows), length), jnp.uint64)
    row = jnp.full(length, sizes.rows - 1, jnp.int32)
    element = jnp.zeros(length, jax.eval_shape(rows_of, rows[:, :1])[0].dtype)
    start = jnp.zeros(room, jnp.int32)

    def one(step, carried):
        words, row, element, start, used, longest = carried
        first = step * chunk
        part = jax.lax.dynamic_slice_in_dim(rows, first, chunk, axis=1)
        values, moved = rows_of(part)
        limit = jax.lax.dynamic_slice_in_dim(limits, first, chunk)[:, None]
        values, keep = _screened(values, part, moved, screening._replace(threshold=limit))
        keep = keep & (first + jnp.arange(chunk) < n_rows)[:, None]
        place, ends, number = places_of_kept(keep, sizes.block)
        in_block = jnp.arange(sizes.block) < number
        at = jnp.minimum(used, sizes.connections)
        flat = moved.reshape(len(rows), -1)[:, place]
        words = jax.lax.dynamic_update_slice_in_dim(words, flat, at, axis=1)
        row_of = (first + place // values.shape[1]).astype(jnp.int32)
        row = jax.lax.dynamic_update_slice_in_dim(
            row, jnp.where(in_block, row_of, sizes.rows - 1), at, axis=0
        )
        kept = jnp.where(in_block, values.ravel()[place], 0.0)
        element = jax.lax.dynamic_update_slice(element, kept, (at,))
        counts = ends - jnp.concatenate([jnp.zeros(1, ends.dtype), ends[:-1]])
        start = jax.lax.dynamic_update_slice(start, (used + ends - counts).astype(jnp.int32), (first,))
        return words, row, element, start, used + number, jnp.maximum(longest, number)

    trips = (n_rows + chunk - 1) // chunk
    zero = jnp.zeros((), jnp.int32)
    words, row, element, start, count, longest = jax.lax.fori_loop(
        0, trips, one, (words, row, element, start, zero, zero)
    )
    kept = slice(0, sizes.connections)
    if spin_flip:
        words = flipped_representatives(words)
    return Listed(words[:, kept], row[kept], element[kept], start[: sizes.rows], count, longest)


def _screened(values, rows, moved, screening):
    """Elements after rounding, and which of them are kept."""
    size = jnp.abs(values)
    is_diagonal = jnp.arange(values.shape[1]) == 0

    def rounded(values):
        h = mixed(jnp.concatenate([moved, jnp.broadcast_to(rows[:, :, None], moved.shape)]))
        h = mixed(jnp.stack([h ^ jnp.asarray(screening.seed, jnp.uint64)]))
        chance = (h >> 11).astype(jnp.float64) * 2.0**-53
        small = (size < screening.cut) & ~is_diagonal
        drawn = jnp.where(chance * screening.cut < size, jnp.sign(values) * screening.cut, 0.0)
        return jnp.where(small, drawn, values)

    values = jax.lax.cond(screening.cut > 0, rounded, lambda values: values, values)
    keep = is_diagonal | ((jnp.abs(values) > ZERO) & (size >= screening.threshold))
    return values, keep


def places_of_kept(keep: jax.Array, room: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Flat places (room,) of what is kept, running counts (n,) at the ends of rows, and their number."""
    ends = jnp.cumsum(jnp.sum(keep, axis=1, dtype=jnp.int32), dtype=jnp.int32)
    running = jnp.cumsum(keep.ravel(), dtype=jnp.int32)
    place = jnp.searchsorted(running, jnp.arange(1, room + 1, dtype=jnp.int32), side="left")
    return jnp.minimum(place, keep.size - 1).astype(jnp.int32), ends, running[-1]
