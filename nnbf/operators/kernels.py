r"""Local-energy kernels that NetKet dispatches to for a :class:`MolecularHamiltonian`.

NetKet asks for the arguments of a kernel outside jit and calls the kernel inside. All that depends on
the samples alone happens in the first part, on bit strings: repeated samples are merged, connections
generated without padding, and every determinant that several samples reach is listed once. The
kernel proper evaluates the network on that list and sums:

.. math:: E_{loc}(n) = \sum_k H_k \exp[\log\psi(m_{j(k)}) - \log\psi(n)]

Array sizes are rounded up, so that jit compiles few shapes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.vqs.mc import check_hilbert, get_local_kernel, get_local_kernel_arguments

from nnbf.ansatz import contract
from nnbf.determinants import (
    max_connections,
    pack_occupations,
    spin_flip_representatives,
    unpack_occupations,
)
from nnbf.determinants.connections import flat_connections
from nnbf.determinants.hashing import merge_equal
from nnbf.operators.local_energy import CONNECTIONS_AT_ONCE
from nnbf.operators.molecular import MolecularHamiltonian, MolecularProduct


class MergedConnections(NamedTuple):
    """Connections of a batch of samples, every determinant listed once."""

    occupations: jax.Array
    """Distinct determinants (U, 2M), int8; padded with repetitions of the first."""
    target: jax.Array
    """Position (K,) in ``occupations`` of every connection, int32."""
    row: jax.Array
    """Distinct sample (K,) that every connection belongs to, ascending, int32; padding has the last."""
    element: jax.Array
    """Matrix element (K,) of every connection, Hartree; padding has 0."""
    own: jax.Array
    """Position (R,) in ``occupations`` of every distinct sample, int32."""
    of_sample: jax.Array
    """Distinct sample (n,) of every sample, int32."""


def merged_connections(
    hamiltonian: MolecularHamiltonian, samples: np.ndarray, *, spin_flip: bool = False
) -> MergedConnections:
    """Prepare local energies of samples.

    Args:
        hamiltonian: The Hamiltonian; its threshold applies.
        samples: Occupations (..., 2M) of zeros and ones.
        spin_flip: Whether psi is even under spin flip, so that a determinant and its flip count as one.
    """
    integrals = hamiltonian.integrals
    samples = np.asarray(samples)
    determinants = pack_occupations(samples.reshape(-1, samples.shape[-1]))
    if spin_flip:
        determinants = spin_flip_representatives(determinants)
    rows, of_sample = merge_equal(determinants)
    per_row = max_connections(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta) + 1
    block = max(1, CONNECTIONS_AT_ONCE // per_row)
    # Merged block by block: the list of all connections of all samples is never held at once.
    counts, targets, elements, lists = [], [], [], []
    for lo in range(0, len(rows), block):
        count, connected, element = flat_connections(
            hamiltonian.tables,
            rows[lo : lo + block],
            integrals.n_alpha,
            integrals.n_beta,
            hamiltonian.threshold,
        )
        if spin_flip:
            connected = spin_flip_representatives(connected)
        distinct, target = merge_equal(connected)
        counts.append(count)
        elements.append(element)
        targets.append(target)
        lists.append(distinct)
    distinct, place = merge_equal(np.concatenate(lists))
    starts = np.cumsum([0, *(len(part) for part in lists)])
    target = np.concatenate([place[start + part] for start, part in zip(starts, targets, strict=False)])
    count = np.concatenate(counts)
    own = target[np.cumsum(count) - count]
    row = np.repeat(np.arange(len(rows)), count)
    element = np.concatenate(elements)

    # The network dominates: its list is rounded up least. Rows cost nothing: as many as there are samples.
    n_distinct, n_connections, n_rows = (
        rounded_up(len(distinct), 64, 1.25),
        rounded_up(len(row), 1024, 1.5),
        rounded_up(len(of_sample), 16, 1.5),
    )
    occupations = unpack_occupations(distinct, hamiltonian.n_orbitals)
    return MergedConnections(
        occupations=jnp.asarray(padded_to(occupations, n_distinct, occupations[0])),
        target=jnp.asarray(padded_to(target, n_connections, 0), jnp.int32),
        row=jnp.asarray(padded_to(row, n_connections, n_rows - 1), jnp.int32),
        element=jnp.asarray(padded_to(element, n_connections, 0.0)),
        own=jnp.asarray(padded_to(own, n_rows, 0), jnp.int32),
        of_sample=jnp.asarray(of_sample, jnp.int32),
    )


def local_energy_kernel(logpsi, pars, samples, args: MergedConnections, *, chunk_size: int | None = None):
    """Local energies (n,) of samples whose connections are ``args``; differentiable, for any log psi.

    Args:
        logpsi: ``(pars, occupations) -> log psi``, real or complex.
        pars: Variables of the network.
        samples: (n, 2M); only their type is read, ``args`` holds the rest.
        args: What :func:`merged_connections` made of the samples.
        chunk_size: Determinants that the network evaluates at once.
    """
    if chunk_size is not None:
        logpsi = nk.jax.apply_chunked(logpsi, in_axes=(None, 0), chunk_size=chunk_size)
    log_psi = logpsi(pars, args.occupations.astype(samples.dtype))
    return energies_of_rows(log_psi, args)[args.of_sample]


def energies_of_rows(log_psi: jax.Array, args: MergedConnections) -> jax.Array:
    """Local energies of the distinct samples, (R,), from log psi on ``args.occupations``, (U,)."""
    # Padding repeats determinants that are there: its ratios are finite, and its elements zero.
    ratio = jnp.exp(log_psi[args.target] - log_psi[args.own][args.row])
    return jax.ops.segment_sum(
        args.element * ratio, args.row, num_segments=len(args.own), indices_are_sorted=True
    )


class ProductConnections(NamedTuple):
    """Connections of samples by one operator, and of what it reaches by a second one."""

    outer: MergedConnections
    """Connections of the samples."""
    inner: MergedConnections
    """Connections of the determinants ``outer.occupations``."""


def product_kernel(logpsi, pars, samples, args: ProductConnections, *, chunk_size: int | None = None):
    """Local values (n,) of a product of two Hamiltonians: ``sum_j A_ij (B psi)_j / psi_i``."""
    outer, inner = args
    if chunk_size is not None:
        logpsi = nk.jax.apply_chunked(logpsi, in_axes=(None, 0), chunk_size=chunk_size)
    log_psi = logpsi(pars, inner.occupations.astype(samples.dtype))
    scale = jax.lax.stop_gradient(jnp.max(log_psi.real))
    applied = jax.ops.segment_sum(
        inner.element * jnp.exp(log_psi[inner.target] - scale),
        inner.row,
        num_segments=len(inner.own),
        indices_are_sorted=True,
    )[inner.of_sample]
    rows = jax.ops.segment_sum(
        outer.element * applied[outer.target],
        outer.row,
        num_segments=len(outer.own),
        indices_are_sorted=True,
    )
    return (rows * jnp.exp(scale - log_psi[inner.own[inner.of_sample[outer.own]]]))[outer.of_sample]


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


def even_under_spin_flip(vstate: nk.vqs.MCState, hamiltonian: MolecularHamiltonian) -> bool:
    """Whether the state's model says that psi is the same for a determinant and its spin flip."""
    integrals = hamiltonian.integrals
    says_so = contract.spin_flip_parity(vstate.model) == 1
    return says_so and integrals.n_alpha == integrals.n_beta and not integrals.is_spin_resolved


@get_local_kernel_arguments.dispatch
def molecular_kernel_arguments(vstate: nk.vqs.MCState, operator: MolecularHamiltonian):  # noqa: D103
    check_hilbert(vstate.hilbert, operator.hilbert)
    samples = vstate.samples
    return samples, merged_connections(operator, samples, spin_flip=even_under_spin_flip(vstate, operator))


@get_local_kernel.dispatch
def molecular_kernel(vstate: nk.vqs.MCState, operator: MolecularHamiltonian):  # noqa: D103
    return local_energy_kernel


@get_local_kernel.dispatch
def molecular_kernel_chunked(  # noqa: D103
    vstate: nk.vqs.MCState, operator: MolecularHamiltonian, chunk_size: int
):
    return local_energy_kernel


@get_local_kernel_arguments.dispatch
def product_kernel_arguments(vstate: nk.vqs.MCState, operator: MolecularProduct):  # noqa: D103
    check_hilbert(vstate.hilbert, operator.hilbert)
    samples = vstate.samples
    even = even_under_spin_flip(vstate, operator.left) and even_under_spin_flip(vstate, operator.right)
    outer = merged_connections(operator.left, samples, spin_flip=even)
    inner = merged_connections(operator.right, np.asarray(outer.occupations), spin_flip=even)
    return samples, ProductConnections(outer, inner)


@get_local_kernel.dispatch
def molecular_product_kernel(vstate: nk.vqs.MCState, operator: MolecularProduct):  # noqa: D103
    return product_kernel


@get_local_kernel.dispatch
def molecular_product_kernel_chunked(  # noqa: D103
    vstate: nk.vqs.MCState, operator: MolecularProduct, chunk_size: int
):
    return product_kernel
