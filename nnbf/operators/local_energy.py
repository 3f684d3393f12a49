"""Exact local energies of given configurations, every distinct determinant evaluated once."""

from collections.abc import Callable

import numpy as np

from nnbf.determinants import max_connections, pack_occupations, spin_flip_representatives
from nnbf.determinants.hashing import merge_equal
from nnbf.determinants.rows import flat_connections
from nnbf.operators.molecular import CONNECTIONS_AT_ONCE, MolecularHamiltonian

SignedLog = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


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
    integrals = hamiltonian.integrals
    per_row = max_connections(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta) + 1
    block = max(1, CONNECTIONS_AT_ONCE // per_row)
    energies = [
        _of_rows(hamiltonian, signed_log, rows[lo : lo + block], spin_flip, threshold)
        for lo in range(0, len(rows), block)
    ]
    return np.concatenate(energies)[of_sample]


def _of_rows(hamiltonian, signed_log, rows, spin_flip, threshold):
    integrals = hamiltonian.integrals
    counts, connected, elements = flat_connections(
        hamiltonian.tables, rows, integrals.n_alpha, integrals.n_beta, threshold
    )
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
