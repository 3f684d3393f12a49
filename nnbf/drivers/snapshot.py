"""Snapshots of drivers: everything a run needs to go on, as nested dictionaries of arrays and numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PyTree = Any
Snapshot = dict[str, Any]
"""Dictionaries with text as keys, and lists, of arrays, numbers, text, booleans and None.

Arrays are NumPy's or JAX's, and are never changed after the snapshot was taken: taking one is cheap.
Keys of JAX's random generators go in as ``jax.random.key_data``.
"""

OnCheckpoint = Callable[[Callable[[], Snapshot], bool], bool]
"""Called as ``on_checkpoint(take, must)`` between steps: saves ``take()`` if it is time to, or if it
``must``, and returns whether it did. Where it does not, no snapshot is made."""


def pack_tree(tree: PyTree) -> list[Any]:
    """The leaves of a tree: arrays and numbers."""
    return jax.tree.leaves(tree)


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
    return jnp.asarray(leaf) if isinstance(like, jax.Array) else np.array(leaf)


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
