"""The Slater determinant of lowest energy over the orbitals of a Hamiltonian: Hartree-Fock on integrals."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy.linalg.lapack import dpstrf

from hamiltonians.errors import InputError
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.pseudo_scf import PseudoField, pseudo_field, scf_object
from hamiltonians.molecule.stability import MOST_DESCENTS, downhill, silent

#: How far the frontier orbitals of a start are turned into each other, one way for alpha, the other for beta.
_ANGLES = (0.0, np.pi / 4)
#: Random turns of all orbitals that are tried besides, and their size.
_RANDOM_STARTS, _TURN = 1, 0.5
#: Natural orbitals of occupations closer than this count as degenerate.
_SAME_OCCUPATION = 1e-5


@dataclass(frozen=True, eq=False)
class LowestDeterminant:
    """A solution of Hartree-Fock."""

    energy: float
    """Hartree."""
    orbitals: tuple[np.ndarray, np.ndarray]
    """Occupied alpha and beta orbitals, (M, N_alpha) and (M, N_beta), orthonormal, made of the density matrix
    alone: they do not depend on how degenerate orbitals came out."""
    converged: bool
    """True where it is self-consistent."""


@lru_cache(maxsize=4)  # a plan asks for it, then the run
def lowest_determinant(integrals: MolecularIntegrals, kind: Literal["rhf", "uhf"]) -> LowestDeterminant:
    """Solve Hartree-Fock on integrals, wherever they come from.

    Unrestricted: from the reference determinant, from one with its frontier orbitals mixed, from a random
    turn, always the same, and from spins that alternate between orbitals that electrons hop between (the
    antiferromagnet of local orbitals); unstable solutions are followed to where all rotations raise the
    energy. The lowest counts, also where it breaks the symmetry of the spins.

    Args:
        integrals: The Hamiltonian; any orthonormal orbitals.
        kind: "rhf" (ROHF for open shells) or "uhf".

    Raises:
        InputError: The integrals are those of different alpha and beta orbitals.
    """
    if integrals.is_spin_resolved:
        raise InputError("the orbitals of alpha and beta electrons differ already: start from the reference")
    if integrals.two_S < 0:
        found = lowest_determinant(integrals.spin_flipped(), kind)
        return LowestDeterminant(found.energy, (found.orbitals[1], found.orbitals[0]), found.converged)
    if not integrals.n_electrons:
        nothing = np.zeros((integrals.n_orbitals, 0))
        return LowestDeterminant(integrals.constant, (nothing, nothing), True)
    from pyscf import lib

    source = pseudo_field(integrals)
    # Sums of several threads come in any order: a run that is resumed has to find the same orbitals.
    with lib.with_omp_threads(1):
        fields = [_descended(source, kind, start) for start in _starts(integrals, source, kind)]
    # Solutions of the same energy: the first, so that rounding does not choose.
    lowest = min(fields, key=lambda field: (not field.converged, round(field.e_tot, 7)))
    density = np.asarray(lowest.make_rdm1())
    if density.ndim == 2:
        density = np.stack([0.5 * density] * 2)
    alpha, beta = (_occupied(part, number) for part, number in zip(density, source.numbers, strict=True))
    return LowestDeterminant(float(lowest.e_tot), (alpha, beta), bool(lowest.converged))


def natural_rotation(integrals: MolecularIntegrals) -> np.ndarray:
    """Natural orbitals (M, M), as columns, of the lowest unrestricted determinant, most occupied first.

    Where spins have parted, lists of determinants are shorter in them than in Hartree-Fock orbitals (Pulay
    and Hamilton, J. Chem. Phys. 88, 4926 (1988)); where they have not, these are canonical orbitals.

    Raises:
        InputError: The integrals are those of different alpha and beta orbitals.
    """
    from pyscf import lib, scf

    densities = np.stack([c @ c.T for c in lowest_determinant(integrals, "uhf").orbitals])
    with lib.with_omp_threads(1):
        fields = scf_object(scf.UHF, pseudo_field(integrals)).get_fock(dm=densities)
    occupations, orbitals = np.linalg.eigh(-densities.sum(axis=0))
    # Orbitals of one occupation are those of the mean field.
    starts = np.flatnonzero(np.diff(occupations, prepend=-np.inf) > _SAME_OCCUPATION)
    spaces = np.split(orbitals, starts[1:], axis=1)
    return np.hstack([c @ np.linalg.eigh(c.T @ np.mean(fields, axis=0) @ c)[1] for c in spaces])


def _starts(integrals: MolecularIntegrals, source: PseudoField, kind: str) -> list[np.ndarray]:
    """Spin densities (2, M, M) that iterations start from."""
    orbitals = source.coefficients
    plain = _densities(source, orbitals)
    if kind == "rhf":
        return [plain]
    starts = []
    for angle in _ANGLES:
        turned = []
        for sign, of_spin, number in zip((1.0, -1.0), (orbitals[0],) * 2, source.numbers, strict=True):
            mixed = of_spin.copy()
            if 0 < number < source.size:
                homo, lumo = of_spin[:, number - 1], of_spin[:, number]
                mixed[:, number - 1] = np.cos(angle) * homo + sign * np.sin(angle) * lumo
            turned.append(mixed)
        starts.append(_densities(source, turned))
    rng = np.random.default_rng(0)
    for _ in range(_RANDOM_STARTS):
        turned = [np.linalg.qr(of_spin + _TURN * rng.normal(size=of_spin.shape))[0] for of_spin in orbitals]
        starts.append(_densities(source, turned))
    return [*starts, _alternating(integrals)]


def _alternating(integrals):
    """Electrons of either spin in the orbitals of one of two parts, which hopping connects the most."""
    size = integrals.n_orbitals
    hopping = np.abs(integrals.one_body)
    # Parts that could as well be others are told apart by the order of the orbitals.
    np.fill_diagonal(hopping, 1e-6 * np.arange(size))
    part = np.linalg.eigh(hopping)[1][:, 0]
    order = np.argsort(-part * np.sign(part[np.argmax(np.abs(part) > 1e-6)]), kind="stable")
    filled = np.zeros((2, size))
    filled[0, order[: integrals.n_alpha]] = filled[1, order[::-1][: integrals.n_beta]] = 1.0
    return np.stack([np.diag(of_spin) for of_spin in filled])


def _densities(source, orbitals):
    return np.stack([c[:, :n] @ c[:, :n].T for c, n in zip(orbitals, source.numbers, strict=True)])


def _descended(source: PseudoField, kind: str, density: np.ndarray) -> Any:
    """Converged mean field from a density; a stable one, where the spins are free."""
    from pyscf import scf

    closed = source.numbers[0] == source.numbers[1]
    method = scf.UHF if kind == "uhf" else scf.RHF if closed else scf.ROHF
    field = scf_object(method, source)
    field.conv_tol, field.max_cycle = 1e-11, 200
    field.kernel(density[0] + density[1] if method is scf.RHF else density)
    if not field.converged:
        field = _second_order(field, field.mo_coeff)
    for _ in range(MOST_DESCENTS if kind == "uhf" else 0):
        turned = downhill(field)
        if turned is None:
            break
        field = _second_order(field, turned)
    return field


def _second_order(field: Any, orbitals: Any) -> Any:
    second = silent(field.newton())
    second.conv_tol, second.max_cycle = 1e-11, 100
    second.kernel(orbitals, field.mo_occ)
    return silent(second.undo_newton()) if hasattr(second, "undo_newton") else second


def _occupied(density: np.ndarray, number: int) -> np.ndarray:
    """Orthonormal orbitals (M, N) of an idempotent density matrix: its Cholesky factor with pivots."""
    if not number:
        return np.zeros((len(density), 0))
    factor, pivots, _, _ = dpstrf(density, lower=1, tol=-1.0)
    orbitals = np.zeros((len(density), number))
    orbitals[pivots - 1] = np.tril(factor)[:, :number]
    # Rounding left them a little less orthogonal than they are.
    orthonormal, triangle = np.linalg.qr(orbitals)
    return orthonormal * np.sign(np.diag(triangle))
