"""Everything between a calculation and the world: rows, stop requests, deadline, snapshots."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnbf._devices import n_devices, on_host, placed
from nnbf._processes import agreed
from nnbf.ansatz import ansatz_spec

PyTree = Any
Snapshot = dict[str, Any]
"""Dictionaries with text as keys, and lists, of arrays, numbers, text, booleans and None.

Arrays are NumPy's or JAX's, and are never changed after the snapshot was taken: taking one is cheap.
Keys of JAX's random generators go in as ``jax.random.key_data``.
"""

OnCheckpoint = Callable[[Callable[[], Snapshot], bool], bool]
"""Called as ``on_checkpoint(take, must)`` between steps: saves ``take()`` if it is time to, or if it
``must``, and returns whether it did. Where it does not, no snapshot is made."""

OnRow = Callable[[dict[str, Any]], None]
"""Called with the row of numbers of every step. Those of lattices have ``sector`` and ``level``."""


class StoppedError(RuntimeError):
    """Raised where a calculation that needs all of its levels is stopped, or its time is over, before."""


@dataclass(frozen=True)
class Monitor:
    """How a calculation is watched, stopped, saved and resumed.

    Example:
        >>> rows = []
        >>> watched = Monitor(rows.append).within(60.0)
        >>> 0.0 < watched.remaining <= 60.0
        True
    """

    on_row: OnRow | None = None
    """Called with the row of every step."""
    should_stop: Callable[[], bool] | None = None
    """Asked after every step; true ends the calculation with what there is."""
    deadline: float = math.inf
    """Time (`time.monotonic`) at which the calculation ends with what there is."""
    unbroken: Callable[[], AbstractContextManager] = nullcontext
    """Context in which a step and its row become known: no interruption comes between the two."""
    save: OnCheckpoint | None = None
    """Offered a snapshot before every step, and told to save the last one."""
    resume: Snapshot | None = None
    """Snapshot that ``save`` was given by a calculation with the same arguments, to go on from."""
    callbacks: tuple = ()
    """NetKet callbacks."""
    loggers: tuple = ()
    """NetKet loggers."""
    on_level: Callable[[Any], None] | None = None
    """Called with each :class:`~nnbf.drivers.level.Level` when it is done."""
    recall: Callable[[Any, Any, int], Any] | None = None
    """Called with problem, sector and number of a level by full summation before it is sought: returns the
    level where an earlier session found it, else None."""

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, not below 0."""
        return agreed(max(self.deadline - time.monotonic(), 0.0))

    @property
    def is_over(self) -> bool:
        """True where the deadline has passed."""
        return agreed(time.monotonic() > self.deadline)

    @property
    def is_stopped(self) -> bool:
        """True where somebody asks to stop."""
        return agreed(self.should_stop is not None and self.should_stop())

    def within(self, seconds: float | None) -> "Monitor":
        """The same with a deadline in so many seconds, if that comes first."""
        if seconds is None:
            return self
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))

    def share(self, part: float) -> "Monitor":
        """The same with a part of the remaining time."""
        return self if math.isinf(self.deadline) else self.within(part * self.remaining)

    def stage(self, number: int, **more: Any) -> "Monitor":
        """Monitor of one of several runs that follow each other: its snapshots say which.

        Args:
            number: Number of the run, from 0.
            more: What else snapshots hold, to go on from that run.

        Raises:
            ValueError: The calculation resumes from a later run.
        """
        resume = self.resume
        if resume is not None and resume["stage"] > number:
            raise ValueError(f"run {number} is done: the snapshot is of run {resume['stage']}")
        found = resume["run"] if resume is not None and resume["stage"] == number else None
        return replace(self, resume=found, save=_wrapped(self.save, "run", {"stage": number, **more}))

    def for_particles(self, particles: Sequence[int]) -> "Monitor":
        """Monitor of levels with so many particles: rows and snapshots say so."""
        resume, on_row, place = self.resume, self.on_row, {"particles": list(particles)}
        return replace(
            self,
            on_row=None if on_row is None else (lambda row: on_row({**row, **place})),
            save=_wrapped(self.save, "levels", place),
            resume=resume["levels"] if resume is not None and resume["particles"] == [*particles] else None,
        )

    def for_level(self, sector: Any, number: int = 0, share: float = 1.0) -> "Monitor":
        """Monitor of one level: its rows and snapshots say which, and it has a share of the remaining time.

        Args:
            sector: The sector; has ``label``.
            number: Number of the level in its sector, from 0.
            share: Part of the time that remains.
        """
        place = {"sector": sector.label, "level": number}
        resume, on_row = self.resume, self.on_row
        mine = resume is not None and (resume["sector"], resume.get("level", 0)) == tuple(place.values())
        return replace(
            self.share(share),
            on_row=None if on_row is None else (lambda row: on_row({**row, **place})),
            save=_wrapped(self.save, "driver", place),
            resume=resume["driver"] if mine and resume is not None else None,
        )


def _wrapped(save: OnCheckpoint | None, name: str, more: Snapshot) -> OnCheckpoint | None:
    if save is None:
        return None
    return lambda take, must: save(lambda: {**more, name: take()}, must)


def network_spec(model: Any) -> dict[str, Any] | None:
    """The network as plain values (:func:`nnbf.ansatz.ansatz_spec`); None of one that is not registered."""
    try:
        return ansatz_spec(model)
    except TypeError:
        return None


def pack_tree(tree: PyTree) -> list[Any]:
    """The leaves of a tree: arrays and numbers."""
    return [leaf if n_devices() == 1 else _whole(leaf) for leaf in jax.tree.leaves(tree)]


def _whole(leaf):
    return on_host(leaf) if isinstance(leaf, jax.Array) else leaf


def unpack_tree(leaves: Sequence[Any], like: PyTree) -> PyTree:
    """A tree with the structure of ``like`` and leaves from :func:`pack_tree`.

    Raises:
        ValueError: Number, shapes or types of the leaves are others than those of ``like``.
    """
    own, structure = jax.tree.flatten(like)
    if len(leaves) != len(own):
        raise ValueError(f"the snapshot has {len(leaves)} arrays where {len(own)} are needed")
    return jax.tree.unflatten(structure, [_unpack_leaf(leaf, as_) for leaf, as_ in zip(leaves, own)])


def _unpack_leaf(leaf, like):
    if not isinstance(like, jax.Array | np.ndarray):
        return type(like)(leaf)
    if np.shape(leaf) != like.shape or leaf.dtype != like.dtype:
        raise ValueError(
            f"the snapshot has an array {np.shape(leaf)} of {leaf.dtype} where {like.shape} of {like.dtype} "
            "is needed"
        )
    if not isinstance(like, jax.Array):
        return np.array(leaf)
    # What is not spread over devices may go where it is needed.
    return placed(leaf, like.sharding) if len(like.sharding.device_set) > 1 else jnp.asarray(leaf)


def pack_fields(record: Any) -> Snapshot:
    """A data class whose fields are trees, such as the state of an optimiser."""
    return {field.name: pack_tree(getattr(record, field.name)) for field in fields(record)}


def unpack_fields[Record](packed: Mapping[str, Any], like: Record) -> Record:
    """A data class from :func:`pack_fields`.

    Raises:
        ValueError: It is another data class, or its trees differ from those of ``like``.
    """
    names = [field.name for field in fields(like)]  # type: ignore[arg-type]
    if set(names) != set(packed):
        raise ValueError(f"the snapshot has the fields {sorted(packed)} where {sorted(names)} are needed")
    trees = {name: unpack_tree(packed[name], getattr(like, name)) for name in names}
    return replace(like, **trees)  # type: ignore[type-var]
