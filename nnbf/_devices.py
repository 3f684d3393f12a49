"""Devices that a calculation is spread over: NetKet's mesh, whose one axis goes over rows of configurations.

Rows lie on all devices, parameters on each. A list is filled up to a multiple of the number of devices with
repetitions of its first row, which carry no weight and are cut off again. With one device all of this is
nothing at all: arrays and programs are those of a process without a mesh.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hamiltonians.errors import InputError, one_line

PyTree = Any

#: Name of the axis, as NetKet has it.
AXIS = "S"
#: Rows at once where the free memory is not known; bounds, and the part of the memory, where it is.
_ROWS, _LEAST, _MOST, _SHARE = 8192, 64, 1 << 17, 0.25
#: Devices that cores of a CPU make up at most.
_MADE_UP = 64
_USED: list[int] = []
"""Number of devices that this process was begun with, where it was given."""
_ROOM = [1 << 30]
"""Rows that were not too many, the last one counts."""


def n_devices() -> int:
    """Devices that rows are spread over, those of all processes; 1 where NetKet's sharding is off."""
    from netket import config  # which takes the devices when it is imported

    return jax.device_count() if config.netket_sharding else 1


def placement() -> dict[str, Any]:
    """Kind and number of devices, and number of processes, of a calculation in this process."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": n_devices(),
        "processes": jax.process_count(),
    }


def free_memory() -> int | None:
    """Bytes that are free on the fullest device of this process; None where devices do not say, as CPUs."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if not all(known and "bytes_limit" in known for known in stats):
        return None
    return min(known["bytes_limit"] - known.get("bytes_in_use", 0) for known in stats)


def rows_at_once(numbers: int) -> int:
    """Rows for one call of a network, from the free memory: a power of two; 8192 where that is not known.

    Args:
        numbers: What the network makes of one row, in numbers of 8 bytes.
    """
    free = free_memory()
    if free is None:
        return _ROWS
    most = int(_SHARE * free / (8 * max(numbers, 1)))
    return 1 << (min(max(most, _LEAST), _MOST).bit_length() - 1)


def within_memory[Found](call: Callable[[int], Found], rows: int) -> Found:
    """Call with a number of rows at once; with half as many where the device has no room, and so on.

    What has proved too many is not tried again in this process. Several processes break off instead: the
    others would not know.

    Args:
        call: Takes the number of rows, and returns arrays of the host.
        rows: How many to try.
    """
    rows = min(rows, _ROOM[-1])
    while True:
        try:
            return call(rows)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or rows <= _LEAST or jax.process_count() > 1:
                raise
        rows = max(_LEAST, rows // 2)
        _ROOM.append(rows)
        line = f"the memory of the device does not hold so many: {rows:,} configurations at once from now on"
        logging.getLogger("nnbf").warning(line)


def use_devices(count: int | None) -> None:
    """Use so many devices of this machine, before any is used; on CPUs as many are made up of the cores.

    Raises:
        InputError: There are fewer, or it is too late.
    """
    if count is None or [count] == _USED:
        return
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if visible and count <= len(visible):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[:count])
    try:
        if not visible:
            jax.config.update("jax_cuda_visible_devices", ",".join(map(str, range(count))))
        jax.config.update("jax_num_cpu_devices", count)
        found = jax.local_device_count()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"devices cannot be {count} here ({one_line(error)[:120]}): leave it out") from error
    most = _MADE_UP if jax.default_backend() == "cpu" else found
    if count > most or found != count:
        raise InputError(f"devices must be at most {most} on this machine, got {count}")
    _USED[:] = [count]


def multiple(count: int) -> int:
    """The first multiple of the number of devices that is not below ``count``."""
    devices = n_devices()
    return -(-count // devices) * devices


def filled(rows: Any) -> Any:
    """Rows (n, ...), the first one repeated after them up to a multiple of the number of devices."""
    missing = multiple(len(rows)) - len(rows)
    if not missing:
        return rows
    rows = np.asarray(rows)
    return np.concatenate([rows, np.broadcast_to(rows[:1], (missing, *rows.shape[1:]))])


def spread(rows: Any) -> jax.Array:
    """Rows (n, ...), the same in every process, on all devices, filled up as :func:`filled` does."""
    if n_devices() == 1:
        return jnp.asarray(rows)
    return placed(filled(np.asarray(rows)), NamedSharding(_mesh(), PartitionSpec(AXIS)))


def everywhere(tree: PyTree) -> PyTree:
    """Arrays that are the same in every process, whole on each device."""
    if n_devices() == 1:
        return tree
    sharding = NamedSharding(_mesh(), PartitionSpec())
    return jax.tree.map(lambda leaf: placed(leaf, sharding), tree)


def placed(array: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """An array that is the same in every process as parts on devices, without a word between processes."""
    if isinstance(array, jax.Array) and array.sharding == sharding:
        return array
    whole = on_host(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def on_host(array: Any) -> np.ndarray:
    """An array as NumPy's, also one that lies on devices of several processes: all of them call this."""
    if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
        array = _gathered(array)
    return np.asarray(array)


def by_device(function: Callable[..., PyTree], n_rows: int = 1) -> Callable[..., PyTree]:
    """A function inside of jit that every device applies to its own rows, or the function itself.

    Nothing is summed over the devices, derivatives with respect to the arguments without rows included.

    Args:
        function: Takes trees without rows, then trees of rows; returns a tree of rows.
        n_rows: Number of the latter arguments, the last ones.
    """
    if n_devices() == 1:
        return function

    def mapped(*arguments):
        whole = len(arguments) - n_rows
        specs = (PartitionSpec(),) * whole + (PartitionSpec(AXIS),) * n_rows
        # Without the check nothing is known to be the same on all devices: derivatives are not summed.
        spread_over = jax.shard_map(
            function, mesh=_mesh(), in_specs=specs, out_specs=PartitionSpec(AXIS), check_vma=False
        )
        return spread_over(*arguments)

    return mapped


@cache
def _mesh() -> Mesh:
    # Threads of a pool do not have the mesh that NetKet has set.
    return Mesh(np.asarray(jax.devices()), (AXIS,))


@cache
def _to_all():
    return jax.jit(lambda array: array, out_shardings=NamedSharding(_mesh(), PartitionSpec()))


def _gathered(array):
    return _to_all()(array)
