r"""Local energies: the kernels that NetKet dispatches to for every :class:`Hamiltonian`, and exact ones.

NetKet asks for the arguments of a kernel outside jit and calls the kernel inside. All that depends on
the samples alone happens in the first part, on bit strings: repeated samples are merged, connections
generated without padding, and every configuration that several samples reach is listed once. The
kernel proper evaluates the network on that list and sums:

.. math:: E_{loc}(n) = \sum_k H_k \exp[\log\psi(m_{j(k)}) - \log\psi(n)]

Array sizes are rounded up, so that jit compiles few shapes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.vqs.mc import check_hilbert, get_local_kernel, get_local_kernel_arguments

from nnbf.ansatz import contract
from nnbf.determinants import pack_occupations, spin_flip_representatives
from nnbf.determinants.hashing import merge_equal
from nnbf.determinants.rows import flat_connections
from nnbf.operators.connections import Connections
from nnbf.operators.hamiltonian import Hamiltonian
from nnbf.operators.molecular import CONNECTIONS_AT_ONCE, MolecularHamiltonian, MolecularProduct

SignedLog = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def local_energy_kernel(logpsi, pars, samples, args: Connections, *, chunk_size: int | None = None):
    """Local energies (n,) of samples whose connections are ``args``; differentiable, for any log psi.

    Args:
        logpsi: ``(pars, occupations) -> log psi``, real or complex.
        pars: Variables of the network.
        samples: (n, 2M); only their type is read, ``args`` holds the rest.
        args: Padded result of ``Hamiltonian.listed`` for the samples.
        chunk_size: Determinants that the network evaluates at once.
    """
    if chunk_size is not None:
        logpsi = nk.jax.apply_chunked(logpsi, in_axes=(None, 0), chunk_size=chunk_size)
    log_psi = logpsi(pars, args.occupations.astype(samples.dtype))
    return energies_of_rows(log_psi, args)[args.of_sample]


def energies_of_rows(log_psi: jax.Array, args: Connections) -> jax.Array:
    """Local energies of the distinct samples, (R,), from log psi on ``args.occupations``, (U,)."""
    # Padding repeats determinants that are there: its ratios are finite, and its elements zero.
    ratio = jnp.exp(log_psi[args.target] - log_psi[args.own][args.row])
    return jax.ops.segment_sum(
        args.element * ratio, args.row, num_segments=len(args.own), indices_are_sorted=True
    )


class ProductConnections(NamedTuple):
    """Connections of samples by one operator, and of what it reaches by a second one."""

    outer: Connections
    """Connections of the samples."""
    inner: Connections
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


def even_under_spin_flip(vstate: nk.vqs.MCState, hamiltonian: Hamiltonian) -> bool:
    """True where psi of a state is equal at a configuration and its spin flip, and H symmetric under it."""
    return contract.spin_flip_parity(vstate.model) == 1 and hamiltonian.spin_flip_symmetric


def merged_connections(
    hamiltonian: Hamiltonian, samples: np.ndarray, *, spin_flip: bool = False
) -> Connections:
    """Connections of samples for kernels inside jit; see ``Hamiltonian.listed``."""
    return hamiltonian.listed(samples, spin_flip=spin_flip).padded(*hamiltonian.network_shapes)


@get_local_kernel_arguments.dispatch
def kernel_arguments(vstate: nk.vqs.MCState, operator: Hamiltonian):  # noqa: D103
    check_hilbert(vstate.hilbert, operator.hilbert)
    samples = vstate.samples
    return samples, merged_connections(operator, samples, spin_flip=even_under_spin_flip(vstate, operator))


@get_local_kernel_arguments.dispatch
def product_arguments(vstate: nk.vqs.MCState, operator: MolecularProduct):  # noqa: D103
    check_hilbert(vstate.hilbert, operator.hilbert)
    samples = vstate.samples
    even = even_under_spin_flip(vstate, operator.left) and even_under_spin_flip(vstate, operator.right)
    outer = merged_connections(operator.left, samples, spin_flip=even)
    inner = merged_connections(operator.right, np.asarray(outer.occupations), spin_flip=even)
    return samples, ProductConnections(outer, inner)


@get_local_kernel.dispatch
def kernel(vstate: nk.vqs.MCState, operator: Hamiltonian):  # noqa: D103
    return local_energy_kernel


@get_local_kernel.dispatch
def chunked_kernel(vstate: nk.vqs.MCState, operator: Hamiltonian, chunk_size: int):  # noqa: D103
    return local_energy_kernel


@get_local_kernel.dispatch
def kernel_of_product(vstate: nk.vqs.MCState, operator: MolecularProduct):  # noqa: D103
    return product_kernel


@get_local_kernel.dispatch
def chunked_kernel_of_product(  # noqa: D103
    vstate: nk.vqs.MCState, operator: MolecularProduct, chunk_size: int
):
    return product_kernel


def local_energies(
    hamiltonian: MolecularHamiltonian,
    signed_log: SignedLog,
    samples: np.ndarray,
    *,
    spin_flip: bool = False,
    threshold: float = 0.0,
) -> np.ndarray:
    """Local energies ``sum_j H_ij psi_j / psi_i``.

    Repeated samples, and determinants that several samples reach, are evaluated once; with spin flip
    a determinant and its flip are one evaluation.

    Args:
        hamiltonian: The molecular Hamiltonian.
        signed_log: Bit strings (n, 2 W) -> sign and log|psi|, each (n,).
        samples: Occupations (n, 2M) of zeros and ones.
        spin_flip: Whether psi is even under spin flip.
        threshold: Elements below this magnitude (Hartree) are left out; the error is at most
            ``threshold`` times the sum of the amplitude ratios left out. 0 is exact.

    Returns:
        (n,) local energies, Hartree.
    """
    determinants = pack_occupations(np.asarray(samples))
    if spin_flip:
        determinants = spin_flip_representatives(determinants)
    rows, of_sample = merge_equal(determinants)
    block = max(1, CONNECTIONS_AT_ONCE // hamiltonian.max_conn_size)
    energies = [
        _of_rows(hamiltonian, signed_log, rows[lo : lo + block], spin_flip, threshold)
        for lo in range(0, len(rows), block)
    ]
    return np.concatenate(energies)[of_sample]


def _of_rows(hamiltonian, signed_log, rows, spin_flip, threshold):
    counts, connected, elements = flat_connections(hamiltonian.tables, rows, threshold)
    if spin_flip:
        connected = spin_flip_representatives(connected)
    distinct, index = merge_equal(connected)
    sign, log_abs = signed_log(distinct)
    starts = np.cumsum(counts) - counts
    # Ratios to the row's own amplitude, which is that of its first connection (the diagonal).
    own = np.repeat(index[starts], counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = sign[index] * sign[own] * np.exp(log_abs[index] - log_abs[own])
    return np.add.reduceat(elements * ratios, starts)
