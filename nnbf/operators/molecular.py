"""The molecular Hamiltonian as a NetKet operator over bit-packed determinants."""

import hashlib
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import scipy.sparse
from jax.tree_util import register_pytree_node_class
from netket.utils.numbers import is_scalar

from nnbf._compute import on_device
from nnbf.determinants import (
    ConnectedSpace,
    IntegralTables,
    build_tables,
    connected_space,
    determinant_from_orbitals,
    diagonal_elements,
    hamiltonian_matrix,
    max_connections,
    multiplicities,
    pack_occupations,
    spin_flip_representatives,
    unpack_occupations,
)
from nnbf.determinants.hashing import merge_equal
from nnbf.determinants.rows import Rounding, flat_connections
from nnbf.operators.connections import Connections
from nnbf.operators.device_rows import MolecularRows
from nnbf.operators.device_space import device_couplings, device_matrix_of
from nnbf.operators.hamiltonian import Hamiltonian
from nnbf.operators.padded import PaddedIntegrals, padded_connections, padded_integrals

#: Connections that are held in memory at once.
CONNECTIONS_AT_ONCE = 8_000_000


class MolecularHamiltonian(Hamiltonian):
    r"""Second-quantised molecular Hamiltonian with Slater-Condon matrix elements.

    .. math:: H = E_0 + \sum_{pq\sigma} h_{pq} c^+_{p\sigma} c_{q\sigma}
        + \tfrac12 \sum_{pqrs\sigma\tau} (pq|rs) c^+_{p\sigma} c^+_{r\tau} c_{s\tau} c_{q\sigma}

    Works wherever NetKet takes a discrete jax operator. Local energies of an ``MCState`` go through
    compiled kernels over bit strings that evaluate every distinct determinant once (``docs/netket.md``);
    inside jit, ``get_conn_padded`` is pure jax. Configurations are 0/1 occupations of 2M spin orbitals,
    **alpha in the first block**. Real multiples, sums of two such operators and shifts by a number are
    such operators again.
    """

    peaked = True

    def __init__(self, integrals, *, threshold: float = 0.0):
        """Build the tables.

        Args:
            integrals: ``hamiltonians.MolecularIntegrals``, restricted or spin-resolved.
            threshold: Off-diagonal matrix elements below this magnitude (Hartree) are left out;
                :attr:`screening_error` bounds what that does to any energy.

        Raises:
            ValueError: A negative threshold.
        """
        if threshold < 0:
            raise ValueError(f"threshold must not be negative, got {threshold}")
        hilbert = nk.hilbert.SpinOrbitalFermions(
            integrals.n_orbitals, s=1 / 2, n_fermions_per_spin=(integrals.n_alpha, integrals.n_beta)
        )
        super().__init__(hilbert)
        self._host = _Host(integrals, float(threshold))
        self._data: PaddedIntegrals | None = None

    @property
    def integrals(self):
        """The integrals that the operator was built from."""
        return self._host.integrals

    @property
    def tables(self) -> IntegralTables:
        """Compiled integral tables."""
        return self._host.tables

    @property
    def threshold(self) -> float:
        """Off-diagonal elements below this magnitude are left out, Hartree."""
        return self._host.threshold

    @property
    def n_orbitals(self) -> int:
        """Spatial orbitals M."""
        return self.integrals.n_orbitals

    @property
    def n_electrons(self) -> int:
        """Number of electrons."""
        return self.integrals.n_alpha + self.integrals.n_beta

    @property
    def spin_flip_symmetric(self) -> bool:
        """With as many alpha as beta electrons in the same orbitals."""
        return self.integrals.n_alpha == self.integrals.n_beta and not self.integrals.is_spin_resolved

    @property
    def max_conn_size(self) -> int:
        """Upper bound on the connections of one configuration, itself included."""
        return 1 + max_connections(self.n_orbitals, self.integrals.n_alpha, self.integrals.n_beta)

    @property
    def reference(self) -> np.ndarray:
        """Bit string (1, 2 W) of the reference determinant."""
        alpha, beta = self.integrals.reference_occupation
        return determinant_from_orbitals(alpha, beta, self.n_orbitals)

    @property
    def screening_error(self) -> float:
        """Bound (Hartree) on how much leaving out small elements moves any energy.

        The part left out is symmetric, and no eigenvalue of it exceeds its largest row sum of
        magnitudes (Gershgorin). A row holds the doubles out of its occupied pairs, bounded by the pairs
        with the largest sums, and its singles, bounded by the threshold each.
        """
        return self._host.screening_error

    def infinite_temperature_energy(self) -> float:
        """Mean of the diagonal over all determinants with the same electrons (Hartree): E_inf of the V-score.

        Wu et al., Science 386, 296 (2024).
        """
        return self.integrals.infinite_temperature_energy

    def pack(self, rows: np.ndarray) -> np.ndarray:
        """Bit strings (n, 2 W) of occupations (n, 2M): a string for each spin."""
        return pack_occupations(rows)

    def unpack(self, configurations: np.ndarray) -> np.ndarray:
        """Occupations (n, 2M) of bit strings (n, 2 W)."""
        return unpack_occupations(configurations, self.n_orbitals)

    def network_input(self, configurations: np.ndarray) -> jax.Array:
        """Occupations (n, 2M) as doubles."""
        return jnp.asarray(np.asarray(self.unpack(configurations), dtype=np.float64))

    def matrix(self, configurations: np.ndarray, *, spin_flip: bool = False) -> scipy.sparse.csr_matrix:
        """See :func:`nnbf.determinants.hamiltonian_matrix`, which makes it without listing what leads out."""
        if on_device():
            return device_matrix_of(self.device_rows(), configurations, spin_flip)
        return hamiltonian_matrix(self.tables, configurations, spin_flip)

    def connected_space(
        self, determinants: np.ndarray, psi: np.ndarray, spin_flip: bool = False, threshold: float = 0.0
    ) -> ConnectedSpace:
        """See :func:`nnbf.determinants.connected_space`; on the device where that computes."""
        if not on_device():
            return connected_space(self.tables, determinants, psi, spin_flip, threshold)
        norm = np.sqrt(np.sum(multiplicities(determinants, spin_flip) * psi**2))
        keys, sums = device_couplings(self.device_rows(), determinants, psi / norm, spin_flip, threshold)
        return ConnectedSpace(keys, sums, diagonal_elements(self.tables, keys))

    def diagonal(self, rows: np.ndarray) -> np.ndarray:
        """Diagonal elements (n,) of occupations (n, 2M), Hartree."""
        return diagonal_elements(self.tables, pack_occupations(rows))

    def connections(
        self, rows: np.ndarray, *, threshold: float = 0.0, rounding: Rounding | None = None
    ) -> Connections:
        """Rows of H on occupations (n, 2M); the larger of ``threshold`` and the operator's own applies."""
        return self._connections(rows, threshold, rounding, spin_flip=False)

    def _folded(self, rows, **how):
        return self._connections(rows, 0.0, how.get("rounding"), spin_flip=True)

    def _connections(self, rows, threshold, rounding, spin_flip):
        determinants = pack_occupations(rows)
        threshold = max(threshold, self.threshold)
        block = max(1, CONNECTIONS_AT_ONCE // self.max_conn_size)
        # Merged block by block: the list of all connections of all samples is never held at once.
        blocks = []
        for lo in range(0, len(determinants), block):
            count, connected, element = flat_connections(
                self.tables, determinants[lo : lo + block], threshold, rounding
            )
            if spin_flip:
                connected = spin_flip_representatives(connected)
            distinct, target = merge_equal(connected)
            blocks.append((count, element, distinct, target))
        counts, elements, lists, targets = zip(*blocks, strict=True)
        distinct, place = merge_equal(np.concatenate(lists))
        starts = np.cumsum([0, *(len(part) for part in lists)])
        target = np.concatenate([place[start + part] for start, part in zip(starts, targets, strict=False)])
        count = np.concatenate(counts)
        return Connections(
            occupations=unpack_occupations(distinct, self.n_orbitals),
            target=target,
            row=np.repeat(np.arange(len(determinants)), count),
            element=np.concatenate(elements),
            own=target[np.cumsum(count) - count],
            of_sample=np.arange(len(determinants)),
        )

    def device_rows(self) -> MolecularRows:
        """Rows inside jit, on packed determinants."""
        if self._host.device_rows is None:
            self._host.device_rows = MolecularRows.of(self.integrals, self.tables, self.threshold)
        return self._host.device_rows

    def get_conn_padded(self, x):
        """Connected configurations (..., K, 2M) and elements (..., K), K = ``max_conn_size``."""
        rows = x.reshape(-1, x.shape[-1])
        n_alpha, n_beta = self.integrals.n_alpha, self.integrals.n_beta
        connected, elements = _padded(self._padded_data, rows, n_alpha, n_beta, self.threshold)
        return (
            connected.reshape(*x.shape[:-1], *connected.shape[1:]),
            elements.reshape(*x.shape[:-1], elements.shape[1]),
        )

    def conjugate(self, *, concrete: bool = False):
        """The operator itself: its elements are real."""
        return self

    def transpose(self, *, concrete: bool = False):
        """The operator itself: it is symmetric."""
        return self

    @property
    def H(self):
        """The operator itself: it is Hermitian."""
        return self

    def collect(self):
        """The operator itself."""
        return self

    def __mul__(self, factor):
        if not (is_scalar(factor) and np.isrealobj(np.asarray(factor))):
            return super().__mul__(factor)
        factor = float(factor)
        part = self.integrals
        scaled = replace(
            part,
            constant=factor * part.constant,
            one_body=factor * part.one_body,
            two_body=factor * part.two_body,
        )
        return MolecularHamiltonian(scaled, threshold=abs(factor) * self.threshold)

    def __neg__(self):
        return self * -1.0

    def __truediv__(self, divisor):
        return self * (1.0 / divisor)

    def __add__(self, other):
        part = self.integrals
        if is_scalar(other) and np.isrealobj(np.asarray(other)):
            shifted = replace(part, constant=part.constant + float(other))
            return MolecularHamiltonian(shifted, threshold=self.threshold)
        if isinstance(other, MolecularHamiltonian) and other.hilbert == self.hilbert:
            more = other.integrals
            if part.is_spin_resolved or more.is_spin_resolved:
                part, more = part.spin_resolved(), more.spin_resolved()
            same_irreps = part.orbital_irreps == more.orbital_irreps and part.point_group == more.point_group
            total = replace(
                part,
                constant=part.constant + more.constant,
                one_body=part.one_body + more.one_body,
                two_body=part.two_body + more.two_body,
                orbital_irreps=part.orbital_irreps if same_irreps else None,
                point_group=part.point_group if same_irreps else None,
            )
            # Screening the sum is not the sum of the screened: keep what either keeps.
            return MolecularHamiltonian(total, threshold=min(self.threshold, other.threshold))
        return super().__add__(other)

    def __radd__(self, other):
        return self + other if is_scalar(other) else super().__radd__(other)

    def __sub__(self, other):
        return self + (-1.0 * other)

    def __rsub__(self, other):
        return (-1.0 * self) + other

    def _op__matmul__(self, other):
        if isinstance(other, MolecularHamiltonian) and other.hilbert == self.hilbert:
            return MolecularProduct(self, other)
        return other.__rmatmul__(self)

    def __eq__(self, other):
        return isinstance(other, MolecularHamiltonian) and self._host.digest == other._host.digest

    def __hash__(self):
        return hash(self._host.digest)

    def __repr__(self):
        screened = f", threshold={self.threshold:g}" if self.threshold else ""
        return (
            f"MolecularHamiltonian(n_orbitals={self.n_orbitals}, n_alpha={self.integrals.n_alpha}, "
            f"n_beta={self.integrals.n_beta}{screened})"
        )

    @property
    def _padded_data(self):
        if self._data is None:
            # Not a leaf until jit wants it: for large bases it is as large as the integrals. Inside jit
            # leaves are there already, and must not become constants of somebody's trace.
            with jax.ensure_compile_time_eval():
                self._data = padded_integrals(self.integrals)
        return self._data

    def tree_flatten(self):
        """Integrals are leaves, everything else is static."""
        return (self._padded_data,), (self.hilbert, self._host)

    @classmethod
    def tree_unflatten(cls, static, leaves):
        """Put the operator together again, without building tables."""
        operator = object.__new__(cls)
        hilbert, host = static
        nk.operator.DiscreteJaxOperator.__init__(operator, hilbert)
        operator._host = host
        operator._data = leaves[0]
        return operator


@register_pytree_node_class
class MolecularProduct(nk.operator.DiscreteJaxOperator):
    """Product of two molecular Hamiltonians, H @ H above all: what a variance by (H^2)_loc needs."""

    def __init__(self, left: MolecularHamiltonian, right: MolecularHamiltonian):
        """Keep the factors.

        Args:
            left: Acts last.
            right: Acts first, on the same Hilbert space.
        """
        super().__init__(left.hilbert)
        self.left, self.right = left, right

    @property
    def dtype(self):
        """Matrix elements are real doubles."""
        return np.dtype(np.float64)

    @property
    def is_hermitian(self) -> bool:
        """True where the factors are the same operator."""
        return self.left == self.right

    @property
    def max_conn_size(self) -> int:
        """Product of the factors' connections: determinants reached in several ways are repeated."""
        return self.left.max_conn_size * self.right.max_conn_size

    def get_conn_padded(self, x):
        """Connected configurations (..., K, 2M) and elements (..., K); inside jit, too."""
        between, first = self.left.get_conn_padded(x)
        connected, second = self.right.get_conn_padded(between)
        elements = first[..., None] * second
        return (
            connected.reshape(*x.shape[:-1], -1, x.shape[-1]),
            elements.reshape(*x.shape[:-1], -1),
        )

    def to_sparse(self, jax_: bool = False):
        """Product of the sparse matrices of the factors."""
        return super().to_sparse(jax_=True) if jax_ else self.left.to_sparse() @ self.right.to_sparse()

    def to_dense(self):
        """Product of the matrices of the factors."""
        return jnp.asarray(self.to_sparse().toarray())

    def __eq__(self, other):
        return isinstance(other, MolecularProduct) and (self.left, self.right) == (other.left, other.right)

    def __hash__(self):
        return hash((self.left, self.right))

    def __repr__(self):
        return f"{self.left!r} @ {self.right!r}"

    def tree_flatten(self):
        """The factors are the children."""
        return (self.left, self.right), None

    @classmethod
    def tree_unflatten(cls, static, children):
        """Put the product together again."""
        return cls(*children)


class _Host:
    """The part outside jax; compared by content, so that equal operators share compiled code."""

    def __init__(self, integrals, threshold):
        self.integrals = integrals
        self.threshold = threshold
        self.device_rows: MolecularRows | None = None

    @cached_property
    def tables(self) -> IntegralTables:
        return build_tables(self.integrals)

    @cached_property
    def digest(self) -> bytes:
        part = self.integrals
        content: Any = hashlib.sha256()
        for array in (part.constant, part.one_body, part.two_body, self.threshold):
            content.update(np.ascontiguousarray(array).tobytes())
        content.update(repr((part.n_alpha, part.n_beta, part.reference_occupation)).encode())
        return content.digest()

    @cached_property
    def screening_error(self) -> float:
        if self.threshold == 0.0:
            return 0.0
        tables, part = self.tables, self.integrals
        m, counts = part.n_orbitals, (part.n_alpha, part.n_beta)
        total = 0.0
        for spin, n in enumerate(counts):
            total += self.threshold * n * (m - n)
            sums = _dropped_sums(tables.same_pointers[spin], tables.same_values[spin], self.threshold)
            total += _largest(sums, n * (n - 1) // 2)
        sums = _dropped_sums(tables.mixed_pointers, tables.mixed_values, self.threshold)
        return total + _largest(sums, counts[0] * counts[1])

    def __eq__(self, other):
        return isinstance(other, _Host) and (self is other or self.digest == other.digest)

    def __hash__(self):
        return hash(self.digest)


def _dropped_sums(pointers, values, threshold):
    magnitudes = np.abs(values[: pointers[-1]])
    running = np.concatenate([[0.0], np.cumsum(np.where(magnitudes < threshold, magnitudes, 0.0))])
    return running[pointers[1:]] - running[pointers[:-1]]


def _largest(sums, count):
    return float(np.sum(np.sort(sums)[::-1][:count]))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _padded(data, rows, n_alpha, n_beta, threshold):
    return jax.vmap(lambda x: padded_connections(data, x, n_alpha, n_beta, threshold))(rows)
