r"""Natural orbitals (Loewdin, Phys. Rev. 97, 1474 (1955)), and a Hamiltonian in terms of them.

They diagonalise the density matrix of both spins together. Alpha and beta orbitals that differ are
brought to one set for that: :math:`D = \gamma^\alpha + O \gamma^\beta O^T` with their overlap O, which
must be orthogonal. Where it is not (both spins with an active space of their own) there are only natural
orbitals of each spin.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from hamiltonians import MolecularIntegrals, Molecule, irrep_bits
from hamiltonians.molecule.determinant import determinant_energy, lowest_determinant
from nnbf.estimate import Estimate, jackknife_error
from nnbf.observables.observable_registry import observable

if TYPE_CHECKING:
    from nnbf.observables.measurements import MolecularMeasurement

#: How far an overlap may be from an orthogonal matrix.
_NOT_ORTHOGONAL = 1e-6


@dataclass(frozen=True, eq=False)
class NaturalOrbitals:
    """Natural orbitals by falling occupation, in terms of the orbitals of the Hamiltonian."""

    occupations: np.ndarray | None
    """(C + M,) of both spins together, from 0 to 2, C frozen ones of UHF included; None where alpha and
    beta orbitals differ and their overlap is unknown or not orthogonal."""
    spin_occupations: np.ndarray
    """(2, M) occupation of every natural orbital by alpha and by beta electrons."""
    coefficients: np.ndarray
    """Columns are natural orbitals: (M, M), or (2, M, M) for alpha and beta."""
    kind: Literal["restricted", "merged", "by_spin"]
    """restricted: both spins had the same orbitals; merged: they have them now; by_spin: natural
    orbitals of each spin."""


@observable("natural", on=("molecule",), recorded=False)
def natural(measured: "MolecularMeasurement") -> NaturalOrbitals:
    """Natural orbitals."""
    return _of(measured, measured.one_body)


@observable("natural_occupations", on=("molecule",))
def natural_occupations(measured: "MolecularMeasurement") -> Estimate | None:
    """Occupations of the natural orbitals of both spins together, falling; see `NaturalOrbitals`."""
    occupations = natural(measured).occupations
    state = measured.configurations
    if occupations is None:
        return None
    if state.is_exact:
        return Estimate(occupations)
    left_out = [_of(measured, part).occupations for part in state.without_one(measured.one_body_parts)]
    return Estimate(occupations, jackknife_error(np.array(left_out)))


def _of(measured, one_body):
    integrals = measured.integrals
    codes = irrep_bits(integrals) if measured.configurations.is_exact else measured.irreps
    return natural_orbitals(
        one_body, codes, spin_resolved=integrals.is_spin_resolved, overlap=measured.overlap
    )


def natural_orbitals(
    one_body: np.ndarray,
    irreps: np.ndarray,
    *,
    spin_resolved: bool = False,
    overlap: np.ndarray | None = None,
) -> NaturalOrbitals:
    """Diagonalise one-particle density matrices.

    Args:
        one_body: (2, M, M), symmetric.
        irreps: (M,) irrep codes, zeros where unknown: natural orbitals do not mix them.
        spin_resolved: Whether alpha and beta orbitals differ.
        overlap: Their overlap, (C + M, C + M), frozen orbitals first.
    """
    if not spin_resolved:
        occupations, vectors = diagonalised(one_body.sum(axis=0), irreps)
        return NaturalOrbitals(occupations, _by_spin(one_body, vectors), vectors, "restricted")
    merged = merged_density(one_body, overlap)
    if merged is not None and len(merged) == one_body.shape[-1]:
        occupations, vectors = diagonalised(merged, irreps)
        both = np.stack([vectors, np.asarray(overlap).T @ vectors])
        return NaturalOrbitals(occupations, _by_spin(one_body, both), both, "merged")
    whole = None if merged is None else np.linalg.eigvalsh(merged)[::-1]
    separate = _natural_by_spin(one_body, irreps)
    return NaturalOrbitals(whole, _by_spin(one_body, separate), separate, "by_spin")


def _natural_by_spin(one_body, irreps):
    """(2, M, M): those of alpha by falling occupation, those of beta in the same order of irreps.

    Orbitals of one index then belong to one irrep, as the Hamiltonian wants it.
    """
    vectors = np.stack([diagonalised(block, irreps)[1] for block in one_body])
    codes = [irreps[np.argmax(np.abs(part), axis=0)] for part in vectors]
    beta = np.empty_like(vectors[1])
    for code in np.unique(irreps):
        beta[:, codes[0] == code] = vectors[1][:, codes[1] == code]
    return np.stack([vectors[0], beta])


def _by_spin(one_body, vectors):
    """Occupations (2, M) of orbitals, one set or one a spin."""
    rotations = np.broadcast_to(vectors, (2, *vectors.shape[-2:]))
    return np.einsum("spi,spq,sqi->si", rotations, one_body, rotations)


def merged_density(one_body: np.ndarray, overlap: np.ndarray | None) -> np.ndarray | None:
    """Density matrix of both spins in the alpha orbitals, frozen ones first, (..., C + M, C + M).

    Args:
        one_body: (..., 2, M, M).
        overlap: (C + M, C + M).

    Returns:
        None where the overlap is unknown or not orthogonal.
    """
    if overlap is None or np.abs(overlap.T @ overlap - np.eye(len(overlap))).max() > _NOT_ORTHOGONAL:
        return None
    first = len(overlap) - one_body.shape[-1]
    whole = np.zeros((*one_body.shape[:-2], len(overlap), len(overlap)))
    whole[..., range(first), range(first)] = 1.0
    whole[..., first:, first:] = one_body
    return whole[..., 0, :, :] + overlap @ whole[..., 1, :, :] @ overlap.T


def diagonalised(matrix: np.ndarray, irreps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, falling, and eigenvectors of a symmetric matrix, irrep by irrep.

    The largest component of every vector is positive.
    """
    size = len(matrix)
    values, vectors = np.zeros(size), np.zeros((size, size))
    done = 0
    for code in np.unique(irreps):
        members = np.flatnonzero(irreps == code)
        own, inside = np.linalg.eigh(matrix[np.ix_(members, members)])
        values[done : done + len(members)] = own
        vectors[np.ix_(members, np.arange(done, done + len(members)))] = inside
        done += len(members)
    order = np.argsort(-values, kind="stable")
    vectors = vectors[:, order]
    if size:
        vectors *= np.where(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(size)] < 0, -1.0, 1.0)
    return values[order], vectors


def natural_orbital_system(system: Molecule, natural: NaturalOrbitals) -> Molecule:
    """The same system in natural orbitals: where a next calculation can start from.

    The reference determinant fills the most occupied ones, if that is in the irrep of the old one, and
    otherwise is the lowest determinant of that irrep near it. UHF orbitals become one set for both spins
    where that is the same Hamiltonian (kind ``merged``).
    """
    integrals = system.integrals.rotate(natural.coefficients)
    properties = None if system.properties is None else system.properties.rotate(natural.coefficients)
    if natural.kind == "merged":
        integrals = replace(
            integrals, one_body=integrals.one_body.mean(axis=0), two_body=_restricted(integrals)
        )
        if properties is not None:
            dipole = None if properties.dipole is None else properties.dipole.mean(axis=0)
            orbitals = None if properties.coefficients is None else properties.coefficients[0]
            properties = replace(properties, dipole=dipole, overlap_alpha_beta=None, coefficients=orbitals)
    target = system.integrals.reference_irrep
    integrals = replace(integrals, reference_occupation=_most_occupied(integrals, natural))
    if irrep_bits(integrals).any() and integrals.reference_irrep != target:
        better = lowest_determinant(integrals, integrals.reference_occupation, target)
        integrals = replace(integrals, reference_occupation=better)
    notes = dict(system.reference_notes)
    method = system.info.reference_method or "the mean field"
    notes["hf"] = (
        f"energy of {method}; the reference determinant of these natural orbitals has "
        f"{determinant_energy(integrals):.8f}"
    )
    info = replace(system.info, orbitals="nnbf-natural")
    return Molecule(integrals, info, system.references, notes, properties, system.truncation)


def _restricted(integrals: MolecularIntegrals) -> np.ndarray:
    aa, ab, bb = integrals.two_body
    return (aa + ab + ab.T + bb) / 4.0


def _most_occupied(
    integrals: MolecularIntegrals, natural: NaturalOrbitals
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if natural.kind != "by_spin":  # these come by falling occupation
        return tuple(range(integrals.n_alpha)), tuple(range(integrals.n_beta))
    alpha, beta = (
        tuple(sorted(np.argsort(-occupations, kind="stable")[:count].tolist()))
        for occupations, count in zip(
            natural.spin_occupations, (integrals.n_alpha, integrals.n_beta), strict=True
        )
    )
    return alpha, beta
