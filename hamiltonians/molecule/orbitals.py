"""Sets of molecular orbitals: canonical ones from Hartree-Fock, natural and localised ones from them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.irreps import irrep_codes, irrep_name
from hamiltonians.molecule.mean_field import MeanField
from hamiltonians.molecule.orientation import SAME_OCCUPATION, standard

ORBITAL_KINDS = ("canonical", "mp2-natural", "ccsd-natural", "boys", "pipek-mezey")
"""Kinds of orbitals that a system can be built in."""


@dataclass(frozen=True)
class Orbitals:
    """Orbitals of one spin (UHF), or of both, in the order in which they are numbered."""

    coefficients: np.ndarray
    """Over atomic orbitals, (n_ao, M)."""
    energies: np.ndarray
    """Orbital energies in Hartree (M,); minus the occupation for natural orbitals."""
    occupation: np.ndarray
    """Electrons in the reference determinant, (M,) int: 2, 1, 0, or 1, 0 for one spin."""
    irreps: tuple[str, ...] | None
    """Labels in the Abelian group, or None."""

    @property
    def size(self) -> int:
        """Number of orbitals."""
        return self.occupation.size

    def take(self, indices: np.ndarray | list[int]) -> "Orbitals":
        """Return a selection, in the given order."""
        chosen = np.asarray(indices, dtype=int)
        return Orbitals(
            self.coefficients[:, chosen],
            self.energies[chosen],
            self.occupation[chosen],
            None if self.irreps is None else tuple(self.irreps[k] for k in chosen),
        )


def canonical_orbitals(field: MeanField) -> tuple[Orbitals, ...]:
    """Return Hartree-Fock orbitals: one set, or (alpha, beta) for UHF.

    Occupied ones come first (doubly, then singly), by energy within each class; see
    `hamiltonians.molecule.orientation` for those of one energy.
    """
    coefficients = np.asarray(field.scf.mo_coeff)
    energies = np.asarray(field.scf.mo_energy)
    occupations = np.rint(np.asarray(field.scf.mo_occ)).astype(int)
    labels = _labels(field)
    if coefficients.ndim == 2:
        sets = [(coefficients, energies, occupations, labels)]
    else:
        labels = labels if labels is not None else (None, None)
        sets = list(zip(coefficients, energies, occupations, labels, strict=True))
    ordered = []
    for c, e, occupation, irreps in sets:
        order = np.lexsort((e, -occupation))
        ordered.append(standard(field, Orbitals(c, e, occupation, irreps).take(order)))
    return tuple(ordered)


def natural_orbitals(field: MeanField, method: str, n_frozen: int) -> Orbitals:
    """Return natural orbitals of a correlated wave function, most occupied first.

    They diagonalise the spin-summed one-particle density matrix, within irreps where known; for UHF
    and ROHF too, so that there is one set for both spins.

    Args:
        field: Hartree-Fock solution.
        method: "mp2-natural" or "ccsd-natural" (unrelaxed densities).
        n_frozen: Number of core orbitals left uncorrelated.

    Raises:
        InputError: CCSD does not converge.
    """
    overlap = field.scf.get_ovlp()
    basis = canonical_orbitals(field)[0]
    density = _correlated_density(field, method, n_frozen)
    projected = basis.coefficients.T @ overlap @ density @ overlap @ basis.coefficients
    codes = irrep_codes(basis.irreps, field.group, basis.size)
    vectors, occupations, labels = [], [], []
    for code in np.unique(codes):
        inside = np.flatnonzero(codes == code)
        values, block = np.linalg.eigh(-projected[np.ix_(inside, inside)])
        vectors.append(basis.coefficients[:, inside] @ block)
        occupations.append(-values)
        if basis.irreps is not None:
            labels += [irrep_name(int(code), field.group)] * inside.size
    numbers = np.concatenate(occupations)
    n_alpha, n_beta = field.scf.mol.nelec
    reference = np.zeros(basis.size, dtype=int)
    reference[:n_alpha] += 1
    reference[:n_beta] += 1
    unordered = Orbitals(np.hstack(vectors), -numbers, np.zeros(basis.size, int), tuple(labels) or None)
    ordered = standard(field, unordered.take(np.argsort(-numbers, kind="stable")), SAME_OCCUPATION)
    return replace(ordered, occupation=reference)


def localised_orbitals(field: MeanField, orbitals: Orbitals, kind: str, n_core: int) -> Orbitals:
    """Return orbitals localised within core, valence occupied, singly occupied and virtual spaces.

    The reference determinant does not change, so neither does its energy.

    Args:
        field: Hartree-Fock solution (its molecule and Fock matrix are used).
        orbitals: Orbitals to localise, occupied first.
        kind: "boys" or "pipek-mezey".
        n_core: How many of the first orbitals are core.
    """
    from pyscf import lo

    localiser = lo.Boys if kind == "boys" else lo.PM
    space = orbitals.occupation.copy()
    space[:n_core] = 3  # core is doubly occupied, but kept apart
    coefficients = orbitals.coefficients.copy()
    energies = orbitals.energies.copy()
    fock = np.asarray(field.scf.get_fock())
    fock = fock.mean(axis=0) if fock.ndim == 3 else fock
    plain = field.scf.mol.copy()
    plain.symmetry = False
    for label in np.unique(space):
        inside = np.flatnonzero(space == label)
        if inside.size > 1:
            task = localiser(plain, orbitals.coefficients[:, inside])
            task.verbose = 0
            coefficients[:, inside] = task.kernel()
        mixed = coefficients[:, inside]
        expected = np.einsum("ai,ab,bi->i", mixed, fock, mixed)
        order = np.argsort(expected, kind="stable")
        found = Orbitals(mixed[:, order], expected[order], orbitals.occupation[inside], None)
        found = standard(field, found, rotate=False)
        coefficients[:, inside], energies[inside] = found.coefficients, found.energies
    return replace(orbitals, coefficients=coefficients, energies=energies, irreps=None)


def matched_by_irrep(alpha: Orbitals, beta: Orbitals) -> Orbitals | None:
    """Return beta orbitals reordered so that orbital p has the irrep of alpha orbital p.

    UHF orbitals of the two spins may be ordered differently; one list of irreps can then serve both.
    None where the two do not hold the same irreps equally often.
    """
    if alpha.irreps is None or beta.irreps is None or sorted(alpha.irreps) != sorted(beta.irreps):
        return None
    waiting: dict[str, list[int]] = {}
    for index, label in enumerate(beta.irreps):
        waiting.setdefault(label, []).append(index)
    return beta.take([waiting[label].pop(0) for label in alpha.irreps])


def split_by_irrep(field: MeanField, orbitals: Orbitals, fock: np.ndarray) -> Orbitals | None:
    """Return the same space in orbitals that each lie in one irrep and diagonalise `fock` there.

    Args:
        field: A symmetry-adapted Hartree-Fock solution.
        orbitals: Orbitals of equal occupation that span a space closed under the group.
        fock: Fock matrix over atomic orbitals.

    Returns:
        Orbitals by energy, or None where there is no symmetry or the space is not closed.
    """
    from pyscf import symm

    if field.group is None:
        return None
    molecule = field.scf.mol
    overlap = field.scf.get_ovlp()
    pieces, energies, labels = [], [], []
    for code, adapted in zip(molecule.irrep_id, molecule.symm_orb, strict=True):
        metric = adapted.T @ overlap @ adapted
        within = np.linalg.solve(metric, adapted.T @ overlap @ orbitals.coefficients)
        weight, vectors = np.linalg.eigh(within.T @ metric @ within)
        if np.any((weight > 1e-5) & (weight < 1 - 1e-5)):
            return None
        pure = adapted @ within @ vectors[:, weight > 0.5]
        values, rotation = np.linalg.eigh(pure.T @ fock @ pure)
        pieces.append(pure @ rotation)
        energies.append(values)
        labels += [symm.irrep_id2name(field.group, code)] * values.size
    if len(labels) != orbitals.size:
        return None
    whole = Orbitals(np.hstack(pieces), np.concatenate(energies), orbitals.occupation, tuple(labels))
    return whole.take(np.argsort(whole.energies, kind="stable"))


def _labels(field: MeanField) -> Any:
    from pyscf import symm

    if field.group is None:
        return None
    codes = np.asarray(field.scf.get_orbsym(field.scf.mo_coeff, field.scf.get_ovlp()))
    if codes.ndim == 1:
        return tuple(symm.irrep_id2name(field.group, int(code)) for code in codes)
    return tuple(
        tuple(symm.irrep_id2name(field.group, int(code)) for code in spin_codes) for spin_codes in codes
    )


def _correlated_density(field: MeanField, method: str, n_frozen: int) -> np.ndarray:
    """Return the spin-summed one-particle density matrix over atomic orbitals."""
    from pyscf import cc, mp

    scf_object = field.scf
    n_alpha, n_beta = scf_object.mol.nelec
    coefficients = np.asarray(scf_object.mo_coeff)
    n_orbitals = coefficients.shape[-1]
    nothing_to_correlate = n_alpha + n_beta - 2 * n_frozen < 2 or n_beta >= n_orbitals
    if nothing_to_correlate:
        density = np.asarray(scf_object.make_rdm1())
        return density if density.ndim == 2 else density.sum(axis=0)
    frozen = n_frozen or None
    kind = mp.MP2 if method == "mp2-natural" else cc.CCSD
    solver = kind(scf_object, frozen=frozen)
    solver.verbose = 0
    if method == "ccsd-natural":
        solver.max_cycle = 200
        solver.kernel()
        if not solver.converged:
            raise InputError("ccsd-natural orbitals: CCSD did not converge; use 'mp2-natural'")
        solver.solve_lambda()
    else:
        solver.kernel()
    matrices = solver.make_rdm1()
    if isinstance(matrices, tuple) or np.ndim(matrices) == 3:
        spins = coefficients if coefficients.ndim == 3 else np.stack([coefficients] * 2)
        return sum(c @ matrix @ c.T for c, matrix in zip(spins, matrices, strict=True))
    return coefficients @ matrices @ coefficients.T
