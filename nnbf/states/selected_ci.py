"""Selected configuration interaction: what diagonalisation gives on the determinants that a network has.

The yardstick of every molecular run. The space grows by first-order amplitudes as that of the network does,
but its state is the lowest eigenvector of H, with the Epstein-Nesbet correction of second order on top
(Huron, Malrieu, Rancurel, J. Chem. Phys. 58, 5745 (1973)).
"""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import eigsh

from hamiltonians.molecule.lowest_determinant import natural_rotation
from hamiltonians.molecule.pseudo_scf import pseudo_field
from nnbf.determinants import ConnectedSpace, connected_space, multiplicities
from nnbf.determinants.rows import connected_partitions
from nnbf.operators import MolecularHamiltonian
from nnbf.states.estimates import energy_gaps, second_order

#: Determinants of the first stage, ratio of the sizes of successive ones.
FIRST_SIZE, FACTOR = 256, 4
#: Couplings ``|H_ji psi_i|`` (Hartree) that the choice of determinants looks at.
SCREENING = 1e-7

_DENSE = 200
_STATIONARY = 1e-4  # Hartree; largest gradient of a Hartree-Fock solution


@dataclass(frozen=True, eq=False)
class SelectedCI:
    """The lowest eigenvector of H on a list of determinants."""

    determinants: np.ndarray
    """(n, 2 W) bit strings."""
    amplitudes: np.ndarray
    """psi (n,), normalised over all determinants that the entries stand for."""
    energy: float
    """Eigenvalue, Hartree: an upper bound."""
    second_order: float | None
    """Epstein-Nesbet correction for what is connected to the list, Hartree (negative); None: not made."""
    seconds: float
    """Time that search, diagonalisation and correction took."""


class Choice(NamedTuple):
    """The most important determinants of a space and of what it is connected to."""

    determinants: np.ndarray
    """(n, 2 W), by falling first-order amplitude."""
    kept: float
    """Share of them that the space had before."""


def selected_ci(
    hamiltonian: MolecularHamiltonian,
    determinants: np.ndarray,
    spin_flip: bool = False,
    *,
    size: int | None = None,
    matrix: scipy.sparse.csr_matrix | None = None,
    with_second_order: bool = True,
) -> SelectedCI:
    """Diagonalise H on a list of determinants, or on one that grows from it.

    Args:
        hamiltonian: The Hamiltonian.
        determinants: (n, 2 W) bit strings to begin with.
        spin_flip: Whether entries stand for spin-flip pairs, as even combinations.
        size: Determinants to grow to, fourfold at a time; left out: the list stays as it is.
        matrix: H in the orthonormal basis of the list, where it is known.
        with_second_order: Compute the correction.

    Raises:
        scipy.sparse.linalg.ArpackNoConvergence: Lanczos did not converge.
    """
    started = time.monotonic()
    tables = hamiltonian.tables
    while True:
        weight = multiplicities(determinants, spin_flip)
        if matrix is None:
            matrix = hamiltonian.symmetric_matrix(determinants, weight, spin_flip)
        values, vectors = lowest_eigenpairs(matrix)
        energy, psi, matrix = float(values[0]), vectors[:, 0] / np.sqrt(weight), None
        if size is None or len(determinants) >= size:
            break
        wanted = min(size, max(FIRST_SIZE, FACTOR * len(determinants)))
        threshold = 0.0 if len(psi) < 64 else SCREENING
        outside = connected_space(tables, determinants, psi, spin_flip, threshold)
        chosen = most_important(determinants, psi, energy, outside, wanted, spin_flip)
        if len(chosen.determinants) == len(determinants):
            break
        determinants = chosen.determinants
    correction = None
    if with_second_order:
        parts = connected_partitions(tables, determinants, psi, spin_flip, 0.0)
        correction = sum(second_order(tables, keys, sums, energy, spin_flip) for keys, sums in parts)
    return SelectedCI(determinants, psi, energy, correction, time.monotonic() - started)


def in_natural_orbitals(hamiltonian: MolecularHamiltonian) -> MolecularHamiltonian:
    """The same Hamiltonian in natural orbitals of UHF, where its own are not those of Hartree-Fock.

    In local orbitals, which suit a network, lists of determinants are long. Hamiltonians with different
    orbitals for alpha and beta electrons stay as they are.
    """
    integrals = hamiltonian.integrals
    alpha, beta = map(set, integrals.reference_occupation)
    is_restricted = alpha <= beta or beta <= alpha
    if integrals.is_spin_resolved or (is_restricted and pseudo_field(integrals).gradient < _STATIONARY):
        return hamiltonian
    filled = tuple(range(integrals.n_alpha)), tuple(range(integrals.n_beta))
    rotated = integrals.rotate(natural_rotation(integrals))
    return MolecularHamiltonian(replace(rotated, reference_occupation=filled))


def most_important(
    determinants: np.ndarray,
    psi: np.ndarray,
    energy: float,
    outside: ConnectedSpace,
    size: int,
    spin_flip: bool,
) -> Choice:
    """Rank a space and its surroundings by (first-order) amplitude.

    Args:
        determinants: The space, (n, 2 W).
        psi: Amplitudes on it, (n,), normalised.
        energy: Hartree.
        outside: What H reaches from it.
        size: Wanted number of determinants; all are taken where there are fewer.
        spin_flip: Whether entries stand for spin-flip pairs.
    """
    gaps = energy_gaps(outside, energy)
    inside, beside = (multiplicities(rows, spin_flip) for rows in (determinants, outside.determinants))
    scores = np.concatenate(
        [np.abs(psi) * np.sqrt(inside), np.abs(outside.couplings / gaps) * np.sqrt(beside)]
    )
    order = np.argsort(-scores, kind="stable")[:size]
    every = np.concatenate([determinants, outside.determinants])
    return Choice(every[order], float(np.mean(order < len(psi))))


def lowest_eigenpairs(matrix: scipy.sparse.csr_matrix, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Lowest eigenvalues (k,), rising, and eigenvectors (n, k) of a sparse symmetric matrix, by Lanczos.

    Raises:
        scipy.sparse.linalg.ArpackNoConvergence: It did not converge.
    """
    size = matrix.shape[0]
    if size <= _DENSE:
        values, vectors = np.linalg.eigh(matrix.toarray())
        return values[:k], vectors[:, :k]
    # The same vector every time, with something of every symmetry in it.
    begin = 1.0 / (0.1 + matrix.diagonal() - matrix.diagonal().min())
    begin += 0.1 * np.random.default_rng(0).standard_normal(size)
    values, vectors = eigsh(matrix, k=k, which="SA", v0=begin, tol=1e-8)
    order = np.argsort(values)
    return values[order], vectors[:, order]
