"""Rows of a Hamiltonian, with every configuration that they reach listed once."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nnbf._devices import multiple
from nnbf.determinants.configurations import (
    pack_modes,
    pack_occupations,
    spin_flip_representatives,
    unpack_occupations,
)
from nnbf.determinants.hashing import first_rows, merge_equal


class Connections(NamedTuple):
    """Rows of a Hamiltonian on n samples, of which R are distinct, that reach U configurations.

    Arrays are NumPy's, or JAX's after :meth:`padded`. The elements of a row are ``H_ij`` with i the sample.
    """

    occupations: Any
    """Distinct configurations (U, modes); padded with repetitions of the first."""
    target: Any
    """Position (K,) in ``occupations`` of every connection."""
    row: Any
    """Distinct sample (K,) that every connection belongs to, ascending; padding has the last."""
    element: Any
    """Matrix element (K,) of every connection, the diagonal of a row first; padding has 0."""
    own: Any
    """Position (R,) in ``occupations`` of every distinct sample."""
    of_sample: Any
    """Distinct sample (n,) of every sample."""

    @classmethod
    def merged(
        cls,
        rows: np.ndarray,
        diagonal: np.ndarray,
        row: np.ndarray,
        connected: np.ndarray,
        element: np.ndarray,
    ) -> "Connections":
        """Connections from plain lists.

        Args:
            rows: (n, modes) configurations with two values a mode, 0 and 1 or -1 and 1.
            diagonal: (n,) diagonal elements.
            row: (k,) row of every element off the diagonal, in any order.
            connected: (k, modes) what it leads to.
            element: (k,).
        """
        every = np.arange(len(rows))
        order = np.argsort(np.concatenate([every, row]), kind="stable")
        listed = np.concatenate([rows, connected])
        keys, position = merge_equal(pack_modes(listed > 0))
        return cls(
            occupations=listed[first_rows(position, len(keys))],
            target=position[order],
            row=np.concatenate([every, row])[order],
            element=np.concatenate([diagonal, element])[order],
            own=position[: len(rows)],
            of_sample=every,
        )

    @classmethod
    def of_lists(cls, counts: np.ndarray, connected: np.ndarray, element: np.ndarray) -> "Connections":
        """The same from lists in order of rows, each with ``counts`` (n,) entries, its diagonal first."""
        keys, target = merge_equal(pack_modes(connected > 0))
        return cls(
            occupations=connected[first_rows(target, len(keys))],
            target=target,
            row=np.repeat(np.arange(len(counts)), counts),
            element=element,
            own=target[np.cumsum(counts) - counts],
            of_sample=np.arange(len(counts)),
        )

    def folded(self) -> "Connections":
        """The same with a configuration and its spin flip as one, for psi that is even under it."""
        n_modes = self.occupations.shape[1]
        representatives = spin_flip_representatives(pack_occupations(self.occupations))
        distinct, position = merge_equal(representatives)
        occupations = unpack_occupations(distinct, n_modes // 2).astype(self.occupations.dtype)
        return self._replace(occupations=occupations, target=position[self.target], own=position[self.own])

    def padded(self, least: int = 64, factor: float = 1.25) -> "Connections":
        """The same as JAX arrays, sizes rounded up so that jit compiles few shapes.

        Args:
            least: Smallest number of configurations. The network dominates: they are rounded up least.
            factor: Ratio of one such number to the next.
        """
        n_distinct = multiple(rounded_up(len(self.occupations), least, factor))
        n_connections = rounded_up(len(self.row), 1024, 1.5)
        # Rows cost nothing: as many as there are samples.
        n_rows = rounded_up(len(self.of_sample), 16, 1.5)
        return Connections(
            occupations=jnp.asarray(padded_to(self.occupations, n_distinct, self.occupations[0])),
            target=jnp.asarray(padded_to(self.target, n_connections, 0), jnp.int32),
            row=jnp.asarray(padded_to(self.row, n_connections, n_rows - 1), jnp.int32),
            element=jnp.asarray(padded_to(self.element, n_connections, 0.0)),
            own=jnp.asarray(padded_to(self.own, n_rows, 0), jnp.int32),
            of_sample=jnp.asarray(self.of_sample, jnp.int32),
        )


def rounded_up(count: int, least: int, factor: float) -> int:
    """The first of ``least, least * factor, ...`` that is not below ``count``: few shapes to compile."""
    size = least
    while size < count:
        size = int(np.ceil(size * factor / 8) * 8)
    return size


def padded_to(array, size: int, filler) -> np.ndarray:
    """``array`` with rows of ``filler`` after it, up to ``size`` rows."""
    array = np.asarray(array)
    if len(array) == size:
        return array
    padding = np.broadcast_to(np.asarray(filler, array.dtype), (size - len(array), *array.shape[1:]))
    return np.concatenate([array, padding])
