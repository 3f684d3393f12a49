"""A Hamiltonian from two methods: its diagonal, and its connections."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import scipy.sparse

from nnbf._compute import on_device
from nnbf._devices import on_host
from nnbf.determinants import symmetrised
from nnbf.determinants.configurations import (
    pack_modes,
    pack_occupations,
    spin_flip_representatives,
    unpack_modes,
    unpack_occupations,
)
from nnbf.determinants.hashing import build_hash_table, find_rows, first_rows, merge_equal
from nnbf.operators.connections import Connections
from nnbf.operators.device_rows import DeviceRows
from nnbf.operators.device_space import device_matrix_of

#: States up to which sums over the whole Hilbert space are made without being asked for.
ENUMERABLE = 1 << 16


class Hamiltonian(nk.operator.DiscreteJaxOperator):
    r"""Base of all Hamiltonians: real or complex, Hermitian, on configurations with two values a mode.

    A subclass gives :meth:`diagonal` and :meth:`connections`, on NumPy arrays of rows as its Hilbert space
    has them (0 and 1, or -1 and 1). With these two come a NetKet operator for any ``MCState`` (local
    energies evaluate every distinct configuration once), sparse matrices on the whole space or on a list,
    and the energy at infinite temperature. ``tests/operators/test_own_hamiltonian.py`` has Heisenberg spins.

    Instances are equal only to themselves, and static under jit, unless a subclass defines ``__eq__`` and
    ``__hash__``, or ``tree_flatten`` and ``tree_unflatten``.
    """

    network_shapes: tuple[int, float] = (64, 1.25)
    """Smallest number of configurations for one call of a network, and ratio of one number to the next."""

    peaked: bool = False
    """True: ground states have most of their weight on few configurations, so that samples miss some that
    count: errors of sampled energies then allow for configurations that were not drawn."""

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        jax.tree_util.register_pytree_node(cls, cls.tree_flatten, cls.tree_unflatten)

    @abc.abstractmethod
    def diagonal(self, rows: np.ndarray) -> np.ndarray:
        """Diagonal elements (n,) of configurations (n, modes)."""

    @abc.abstractmethod
    def connections(self, rows: np.ndarray, *, threshold: float = 0.0) -> Connections:
        """Rows of H on configurations (n, modes), which may repeat; see :meth:`Connections.merged`.

        Args:
            rows: (n, modes).
            threshold: Elements off the diagonal below this magnitude may be left out; 0 is exact.
        """

    @property
    def dtype(self):
        """Type of the matrix elements; doubles unless a subclass says otherwise."""
        return np.dtype(np.float64)

    @property
    def n_sites(self) -> int:
        """Sites of all modes, where several belong to one: what the cost of a network grows with."""
        return self.hilbert.size

    @property
    def n_particles(self) -> int:
        """Particles as V-scores count them; all modes unless a subclass says otherwise."""
        return self.hilbert.size

    def rule(self) -> Any:
        """Moves of Markov chains, a NetKet rule: along the connections, unless a subclass knows better."""
        return nk.sampler.rules.HamiltonianRule(self)

    @property
    def is_hermitian(self) -> bool:
        """Always."""
        return True

    @property
    def spin_flip_symmetric(self) -> bool:
        """True where H commutes with the exchange of the two halves of the modes, on its Hilbert space."""
        return False

    @property
    def max_conn_size(self) -> int:
        """Upper bound on the connections of one configuration, itself included, by enumeration.

        Raises:
            NotImplementedError: There are too many configurations: the subclass has to define it.
        """
        if "_max_conn_size" not in self.__dict__:
            rows = self._all_states("max_conn_size")
            self._max_conn_size = int(np.bincount(self.connections(rows).row).max())
        return self._max_conn_size

    def infinite_temperature_energy(self) -> float:
        """Mean of the diagonal over the Hilbert space: E_inf of the V-score (Science 386, 296 (2024)).

        Raises:
            NotImplementedError: There are too many configurations: the subclass has to define it.
        """
        return float(np.mean(self.diagonal(self._all_states("infinite_temperature_energy"))))

    def device_rows(self) -> DeviceRows | None:
        """Rows inside jit; None: they are made by the host, on an accelerator too."""
        return None

    def listed(self, samples: np.ndarray, *, spin_flip: bool = False, **how: Any) -> Connections:
        """Connections of samples (..., modes), repeated ones merged.

        Args:
            samples: Configurations.
            spin_flip: Whether psi is even under spin flip, so that a configuration and its flip are one.
            how: More for :meth:`connections`.
        """
        samples = on_host(samples)
        rows = np.ascontiguousarray(samples.reshape(-1, samples.shape[-1]))
        if spin_flip:
            distinct, of_sample = merge_equal(spin_flip_representatives(pack_occupations(rows)))
            rows = unpack_occupations(distinct, rows.shape[1] // 2)
            return self._folded(rows, **how)._replace(of_sample=of_sample)
        distinct, of_sample = merge_equal(pack_modes(rows > 0))
        rows = rows[first_rows(of_sample, len(distinct))]
        return self.connections(rows, **how)._replace(of_sample=of_sample)

    def _folded(self, rows, **how):
        """Connections where a configuration and its spin flip are one."""
        return self.connections(rows, **how).folded()

    @property
    def reference(self) -> np.ndarray:
        """Bit string (1, W) that a space starts from.

        Raises:
            NotImplementedError: The subclass has none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no reference: give a space")

    def pack(self, rows: np.ndarray) -> np.ndarray:
        """Bit strings (n, W) of configurations (n, modes)."""
        return pack_modes(np.asarray(rows) > 0)

    def unpack(self, configurations: np.ndarray) -> np.ndarray:
        """Configurations (n, modes), as the Hilbert space has them, of bit strings (n, W)."""
        bits = unpack_modes(configurations, self.hilbert.size).astype(np.int8)
        return 2 * bits - 1 if min(self.hilbert.local_states) < 0 else bits

    def network_input(self, configurations: np.ndarray) -> jax.Array:
        """Bit strings (n, W) in the form in which networks take configurations."""
        return jnp.asarray(self.unpack(configurations))

    def matrix(self, configurations: np.ndarray, *, spin_flip: bool = False) -> scipy.sparse.csr_matrix:
        """H (n, n) between distinct bit strings (n, W), by rows, without what leads out of them.

        Args:
            configurations: (n, W).
            spin_flip: Whether entries stand for a configuration and its flip, on which psi is the same.
        """
        rows_of = self.device_rows() if on_device() else None
        if rows_of is not None:
            return device_matrix_of(rows_of, configurations, spin_flip)
        rows = self.unpack(configurations)
        found = self._folded(rows) if spin_flip else self.connections(rows)
        slots, reached = build_hash_table(configurations), self.pack(found.occupations)
        column = find_rows(slots, configurations, reached)[found.target]
        there = column >= 0
        entries = (found.element[there], (found.row[there], column[there]))
        return scipy.sparse.coo_matrix(entries, shape=(len(rows), len(rows))).tocsr()

    def symmetric_matrix(
        self, configurations: np.ndarray, multiplicity: np.ndarray, spin_flip: bool = False
    ) -> scipy.sparse.csr_matrix:
        """H (n, n) in the orthonormal basis of a list whose entries stand for ``multiplicity`` (n,) each."""
        return symmetrised(self.matrix(configurations, spin_flip=spin_flip), multiplicity).tocsr()

    def get_conn_padded(self, x):
        """Connected configurations (..., K, modes) and elements (..., K), K = ``max_conn_size``.

        Inside jit by a call back to the host, unless a subclass has it in pure JAX.
        """
        shape = (*x.shape[:-1], self.max_conn_size)
        result = (
            jax.ShapeDtypeStruct((*shape, x.shape[-1]), x.dtype),
            jax.ShapeDtypeStruct(shape, self.dtype),
        )
        return jax.pure_callback(self._padded_rows, result, x, vmap_method="expand_dims")

    def get_conn_flattened(
        self, x: np.ndarray, sections: np.ndarray, pad: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """NetKet's connected elements; see ``nk.operator.DiscreteOperator``."""
        x = np.asarray(x)
        found = self.connections(x)
        counts = np.bincount(found.row, minlength=len(x))
        if not pad:
            sections[:] = np.cumsum(counts)
            return found.occupations[found.target].astype(x.dtype), np.asarray(found.element)
        width = int(counts.max(initial=0))
        sections[:] = width * np.arange(1, len(x) + 1)
        connected, elements = _rectangular(x, found, counts, width, self.dtype)
        return connected.reshape(-1, x.shape[1]), elements.reshape(-1)

    def to_dense(self):
        """Matrix over ``hilbert.all_states()``, by way of the (far smaller) sparse one."""
        return jnp.asarray(self.to_sparse().toarray())

    def tree_flatten(self):
        """No leaves: all of it is static."""
        return (), self

    @classmethod
    def tree_unflatten(cls, static, leaves):
        """The operator that was flattened."""
        return static

    def _padded_rows(self, x):
        x = np.asarray(x)
        rows = x.reshape(-1, x.shape[-1])
        found = self.connections(rows)
        counts = np.bincount(found.row, minlength=len(rows))
        connected, elements = _rectangular(rows, found, counts, self.max_conn_size, self.dtype)
        shape = (*x.shape[:-1], self.max_conn_size)
        return connected.reshape(*shape, x.shape[-1]), elements.reshape(shape)

    def _all_states(self, what):
        if not self.hilbert.is_indexable or self.hilbert.n_states > ENUMERABLE:
            raise NotImplementedError(f"{type(self).__name__} has too many states: define {what}")
        # Asked for inside jit, too.
        with jax.ensure_compile_time_eval():
            return np.asarray(self.hilbert.all_states())


def _rectangular(rows, found, counts, width, dtype):
    """Connections as (n, width, modes) and (n, width); padding is the row itself, with element 0."""
    columns = np.arange(len(found.row)) - np.repeat(np.cumsum(counts) - counts, counts)
    connected = np.repeat(rows[:, None, :], width, axis=1)
    elements = np.zeros((len(rows), width), dtype)
    connected[found.row, columns] = found.occupations[found.target]
    elements[found.row, columns] = found.element
    return connected, elements
