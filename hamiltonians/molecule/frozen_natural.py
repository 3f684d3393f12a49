"""Frozen natural orbitals: a virtual space cut down to what correlation occupies.

Occupied orbitals stay those of Hartree-Fock. The virtual-virtual block of a correlated one-particle density
matrix is diagonalised, natural orbitals of small occupation are left out, and the others are made canonical
again within the space that they span.

Sources: Sosa, Geertsen, Trucks, Bartlett, Franz, Chem. Phys. Lett. 159, 148 (1989); Taube, Bartlett, Collect.
Czech. Chem. Commun. 70, 837 (2005); the correction at second order: DePrince, Sherrill, J. Chem. Theory
Comput. 9, 2687 (2013). PySCF's `make_fno` does the same for closed shells without irreps; here orbitals keep
their irreps, degenerate ones stay together, and ROHF keeps one set of orbitals for both spins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, whole_number
from hamiltonians.irreps import irrep_codes
from hamiltonians.molecule.mean_field import MeanField
from hamiltonians.molecule.orbitals import Orbitals, joined, solve_correlation, standard
from hamiltonians.molecule.spec import MoleculeSpec
from hamiltonians.molecule.stability import silent

DENSITIES = ("mp2", "ccsd")
"""Wave functions whose density can give the natural orbitals."""

_SAME_SHELL = 1e-6  # relative difference of the occupations of degenerate orbitals
_ROUNDING = 1e-12
_NO_CCSD = "fno_density ccsd: CCSD did not converge; give mp2"


@dataclass(frozen=True, eq=False)
class FrozenNaturalOrbitals:
    """Occupied Hartree-Fock orbitals and the virtual orbitals that were kept."""

    orbitals: Orbitals
    """Occupied first, then the kept virtual ones by energy, canonical within their space."""
    occupations: np.ndarray
    """Natural occupations of all virtual orbitals, falling."""
    n_kept: int
    """Number of virtual orbitals kept."""
    mp2: float
    """MP2 energy with all virtual orbitals, Hartree."""


def check_truncation(spec: MoleculeSpec) -> None:
    """Require that what is asked of frozen natural orbitals is possible and goes with the rest.

    Raises:
        InputError: A value is impossible, or does not go with the others.
    """
    threshold, most, density = spec.fno_threshold, spec.fno_virtuals, spec.fno_density
    if density not in DENSITIES:
        raise InputError(f"fno_density {density!r} is unknown: give {' or '.join(DENSITIES)}")
    if not spec.is_truncated:
        if density != "mp2":
            raise InputError(f"fno_density {density} needs fno_threshold or fno_virtuals: give one of them")
        return
    if threshold is not None and (
        isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold < 2
    ):
        raise InputError(f"fno_threshold {threshold!r}: give an occupation from 0 to below 2, such as 1e-4")
    if most is not None and whole_number(most, "fno_virtuals") < 1:
        raise InputError(f"fno_virtuals {most}: give the number of virtual orbitals to keep, at least 1")
    if spec.active_space is not None:
        raise InputError(
            "fno_threshold and fno_virtuals choose the virtual orbitals, and so does active_space: "
            "give one or the other"
        )
    if spec.orbitals.endswith("natural"):
        raise InputError(
            f"orbitals {spec.orbitals!r} mix occupied and virtual orbitals, which fno_threshold and "
            "fno_virtuals keep apart: give canonical, boys or pipek-mezey"
        )
    if str(spec.reference).casefold() == "uhf":
        raise InputError(
            "reference 'uhf' has two virtual spaces, and fno_threshold and fno_virtuals need one for both "
            "spins: give 'rohf'"
        )


def frozen_natural_orbitals(
    field: MeanField,
    orbitals: Orbitals,
    n_core: int,
    threshold: float | None = None,
    most: int | None = None,
    density: str = "mp2",
) -> FrozenNaturalOrbitals:
    """Leave out the virtual natural orbitals of small occupation.

    The density is that of the method without orbital relaxation, of both spins together; for open shells in
    semicanonical orbitals, and the virtual orbitals are those empty in both spins. The reference
    determinant does not change, so neither does its energy.

    Args:
        field: Converged RHF or ROHF solution.
        orbitals: Its canonical orbitals, occupied first.
        n_core: How many of the first are frozen.
        threshold: Smallest occupation to keep (of both spins together, 0 to 2), or None for any.
        most: Largest number of virtual orbitals to keep, or None for any.
        density: Wave function of the density, one of `DENSITIES`.

    Raises:
        InputError: Hartree-Fock or CCSD did not converge, or no virtual orbital is kept.
    """
    if not field.converged:
        raise InputError(
            f"frozen natural orbitals need a converged mean field, and {field.method} did not converge: "
            "leave out fno_threshold and fno_virtuals, or try another geometry, basis or spin"
        )
    empty = np.flatnonzero(orbitals.occupation == 0)
    matrix, mp2 = _virtual_density(field, orbitals, n_core, density)
    codes = irrep_codes(orbitals.irreps, field.group, orbitals.size)[empty]
    occupations, blocks = _natural(matrix, codes)
    kept = _number_kept(occupations, threshold, most)
    virtual = _canonical(field, orbitals.take(empty), blocks[:kept])
    filled = orbitals.take(np.flatnonzero(orbitals.occupation > 0))
    return FrozenNaturalOrbitals(joined([filled, virtual]), occupations, kept, mp2)


def _virtual_density(
    field: MeanField, orbitals: Orbitals, n_core: int, method: str
) -> tuple[np.ndarray, float]:
    """Return the density over the orbitals empty in both spins, and the MP2 energy.

    Densities are unrelaxed. Open shells are treated in semicanonical orbitals; singles are in the energy.
    """
    n_virtual = int(np.count_nonzero(orbitals.occupation == 0))
    n_alpha = int(np.count_nonzero(orbitals.occupation > 0)) - n_core
    n_beta = int(np.count_nonzero(orbitals.occupation > 1)) - n_core
    if n_alpha + n_beta < 2 or not n_virtual:
        return np.zeros((n_virtual, n_virtual)), field.energy
    if n_beta < 1:
        raise InputError(
            "frozen natural orbitals need correlated electrons of both spins: leave out fno_threshold and "
            "fno_virtuals, or freeze fewer orbitals"
        )
    if n_alpha == n_beta:
        return _closed_shell_density(field, orbitals, n_core, method)
    return _open_shell_density(field, orbitals, n_core, method)


def _natural(
    density: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Return occupations, falling, and of each natural orbital its irrep's orbitals and its vector there."""
    found = []
    for code in np.unique(codes):
        inside = np.flatnonzero(codes == code)
        values, vectors = np.linalg.eigh(density[np.ix_(inside, inside)])
        found += [(max(float(n), 0.0), inside, v) for n, v in zip(values, vectors.T, strict=True)]
    found.sort(key=lambda entry: -entry[0])
    return np.array([n for n, _, _ in found]), [(inside, vector) for _, inside, vector in found]


def _number_kept(occupations: np.ndarray, threshold: float | None, most: int | None) -> int:
    """Return how many to keep: whole shells of degenerate orbitals, at most `most`."""
    total = occupations.size
    if not total:
        raise InputError("the basis has no virtual orbitals: leave out fno_threshold and fno_virtuals")

    def splits(kept: int) -> bool:
        if not 0 < kept < total:
            return False
        last, first = occupations[kept - 1], occupations[kept]
        return bool(last - first <= _SAME_SHELL * last + _ROUNDING)

    kept = total
    if threshold:
        kept = int(np.count_nonzero(occupations >= threshold))
        if not kept:
            raise InputError(
                f"fno_threshold {threshold:g} keeps no virtual orbital, the largest occupation is "
                f"{occupations[0]:.2g}: give a smaller one"
            )
        while splits(kept):
            kept += 1
    if most is not None and most < kept:
        kept = int(most)
        while splits(kept):
            kept -= 1
        if not kept:
            raise InputError(
                f"fno_virtuals {most} would split the most occupied orbitals, which are "
                "degenerate: give a larger number"
            )
    return kept


def _canonical(field: MeanField, virtual: Orbitals, natural: list[tuple[np.ndarray, np.ndarray]]) -> Orbitals:
    """Return the span of natural orbitals in orbitals that diagonalise the Fock matrix there, by energy.

    `natural` has, of each kept natural orbital, the virtual orbitals of its irrep and its vector there.
    """
    by_irrep: dict[int, tuple[np.ndarray, list[np.ndarray]]] = {}
    for inside, vector in natural:
        by_irrep.setdefault(int(inside[0]), (inside, []))[1].append(vector)
    pieces = []
    for inside, vectors in by_irrep.values():
        span = np.column_stack(vectors)
        levels, rotation = np.linalg.eigh(span.T @ (virtual.energies[inside, None] * span))
        coefficients = virtual.coefficients[:, inside] @ span @ rotation
        labels = None if virtual.irreps is None else (virtual.irreps[inside[0]],) * levels.size
        pieces.append(Orbitals(coefficients, levels, np.zeros(levels.size, dtype=int), labels))
    together = joined(pieces)
    return standard(field, together.take(np.argsort(together.energies, kind="stable")))


def _closed_shell_density(
    field: MeanField, orbitals: Orbitals, n_core: int, method: str
) -> tuple[np.ndarray, float]:
    from pyscf import cc, mp

    mean_field = field.scf.copy()
    mean_field.mo_coeff, mean_field.mo_energy = orbitals.coefficients, orbitals.energies
    mean_field.mo_occ = orbitals.occupation.astype(float)
    solver: Any = mp.MP2(mean_field, frozen=n_core or None)
    solver.verbose = 0
    solver.kernel()
    energy = field.energy + float(solver.e_corr)
    if method == "ccsd":
        solver = cc.CCSD(mean_field, frozen=n_core or None)
        solve_correlation(solver, _NO_CCSD)
    density = solver.make_rdm1(with_frozen=False)
    virtual = slice(int(np.count_nonzero(orbitals.occupation)) - n_core, None)
    return density[virtual, virtual], energy


def _open_shell_density(
    field: MeanField, orbitals: Orbitals, n_core: int, method: str
) -> tuple[np.ndarray, float]:
    from pyscf import cc, mp

    mean_field, rotations, singles = _semicanonical(field, orbitals, n_core)
    solver: Any = mp.UMP2(mean_field, frozen=n_core or None)
    solver.verbose = 0
    solver.kernel()
    energy = field.energy + singles + float(solver.e_corr)
    if method == "ccsd":
        solver = cc.UCCSD(mean_field, frozen=n_core or None)
        solve_correlation(solver, _NO_CCSD)
    n_virtual = int(np.count_nonzero(orbitals.occupation == 0))
    density = np.zeros((n_virtual, n_virtual))
    for rotation, matrix in zip(rotations, solver.make_rdm1(with_frozen=False), strict=True):
        own = rotation.shape[0]
        # Of beta electrons the singly occupied orbitals are virtual too: they come first and stay.
        density += (rotation @ matrix[-own:, -own:] @ rotation.T)[-n_virtual:, -n_virtual:]
    return density, energy


def _semicanonical(
    field: MeanField, orbitals: Orbitals, n_core: int
) -> tuple[Any, tuple[np.ndarray, np.ndarray], float]:
    """Return ROHF as a UHF object whose Fock matrices are diagonal in correlated and in virtual orbitals.

    Beside it: the virtual orbitals of both spins over the orbitals that spin has empty, and the energy of
    single excitations at second order.
    """
    from pyscf import scf

    source = field.scf
    molecule = source.mol.copy()
    molecule.symmetry = False
    density = source.make_rdm1()
    focks = source.get_hcore() + np.asarray(source.get_veff(source.mol, density))
    coefficients, energies, occupations, rotations, singles = [], [], [], [], 0.0
    for spin in (0, 1):
        n = int(np.count_nonzero(orbitals.occupation > spin))
        fock = orbitals.coefficients.T @ focks[spin] @ orbitals.coefficients
        rotation = np.eye(orbitals.size)
        for part in (slice(n_core, n), slice(n, None)):
            rotation[part, part] = np.linalg.eigh(fock[part, part])[1]
        rotated = rotation.T @ fock @ rotation
        levels = np.diag(rotated).copy()
        gap = levels[n_core:n, None] - levels[None, n:]
        singles += float(np.sum(rotated[n_core:n, n:] ** 2 / gap))
        coefficients.append(orbitals.coefficients @ rotation)
        energies.append(levels)
        occupations.append((orbitals.occupation > spin).astype(float))
        rotations.append(rotation[n:, n:])
    unrestricted = silent(scf.UHF(molecule))
    unrestricted._eri = source._eri
    unrestricted.get_hcore = lambda *_: source.get_hcore()
    unrestricted.mo_coeff = np.stack(coefficients)
    unrestricted.mo_energy = np.stack(energies)
    unrestricted.mo_occ = np.stack(occupations)
    unrestricted.e_tot, unrestricted.converged = field.energy, True
    return unrestricted, (rotations[0], rotations[1]), singles
