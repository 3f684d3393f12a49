"""Exact local energies of given configurations, every distinct determinant evaluated once."""

from collections.abc import Callable

import numpy as np

from nnbf.determinants import (
    hamiltonian_matrix,
    pack_occupations,
    rectangular_matrix,
    spin_flip_representatives,
)
from nnbf.determinants.spaces import connected_determinants
from nnbf.operators.molecular import MolecularHamiltonian

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
    rows, inverse = np.unique(determinants, axis=0, return_inverse=True)
    outside = connected_determinants(hamiltonian.tables, rows, spin_flip, threshold)
    sign, log_abs = signed_log(np.concatenate([rows, outside]))
    n = len(rows)
    inside = hamiltonian_matrix(hamiltonian.tables, rows, spin_flip, threshold)
    coupling = rectangular_matrix(hamiltonian.tables, rows, outside, spin_flip, threshold)
    shift = np.max(log_abs)
    psi = sign * np.exp(log_abs - shift)
    with np.errstate(divide="ignore", invalid="ignore"):
        energies = (inside @ psi[:n] + coupling @ psi[n:]) / psi[:n]
    return energies[inverse.ravel()]
