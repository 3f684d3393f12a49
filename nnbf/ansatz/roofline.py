"""How fast a device could evaluate a network: the roofline of its arithmetic and its memory.

Williams, Waterman and Patterson, Commun. ACM 52, 65 (2009).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from nnbf.ansatz.device_passes import in_single_precision
from nnbf.ansatz.logdet import side_by_side

PyTree = Any


@dataclass(frozen=True)
class Peaks:
    """What a device does a second at most, measured."""

    double: float
    """Operations on numbers of 8 bytes, in products of large matrices."""
    single: float
    """The same of numbers of 4 bytes."""
    moved: float
    """Bytes read and written, in a copy of a long vector."""


def least_seconds(action: Callable[[], Any], repeats: int = 3) -> float:
    """Least time of a call that is compiled already."""
    jax.block_until_ready(action())
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(action())
        found.append(time.perf_counter() - started)
    return min(found)


@cache
def device_peaks(edge: int, size: int) -> Peaks:
    """Peaks of the first device.

    Args:
        edge: Rows of the matrices that are multiplied.
        size: Numbers of the vector that is copied.
    """
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    add = jax.jit(lambda x: x + 1.0)
    double, single = (jnp.ones((edge, edge), dtype) for dtype in (jnp.float64, jnp.float32))
    vector = jnp.ones(size)
    return Peaks(
        double=2.0 * edge**3 / least_seconds(lambda: product(double)),
        single=2.0 * edge**3 / least_seconds(lambda: product(single)),
        moved=16.0 * size / least_seconds(lambda: add(vector)),
    )


def cost(model: Any, variables: PyTree, rows: jax.Array, single: bool) -> tuple[float, float]:
    """Operations and bytes of one configuration, as XLA counts them in what it has compiled.

    Args:
        model: Flax module.
        variables: Its variables.
        rows: (n, modes) configurations of a chunk.
        single: Layers in single precision.
    """
    dtype = jnp.float64
    if single:
        (model, variables), dtype = in_single_precision(model, variables), jnp.float32
    with side_by_side():
        counted = jax.jit(model.apply).lower(variables, rows.astype(dtype)).compile().cost_analysis() or {}
    flop, moved = (counted.get(name, 0.0) / len(rows) for name in ("flops", "bytes accessed"))
    return flop, moved


def most_per_second(flop: float, moved: float, peaks: Peaks, single: bool) -> float:
    """Configurations a second that the roofline allows.

    Args:
        flop: Operations of each.
        moved: Bytes of each.
        peaks: Of the device.
        single: Whether the operations are in single precision.
    """
    return 1.0 / max(flop / (peaks.single if single else peaks.double), moved / peaks.moved)
