"""Sets of molecular orbitals: canonical ones from Hartree-Fock, natural and localised ones from them.

Degenerate orbitals come out of a diagonalisation as any mixture, in any order, with any sign: rounding
decides, and so the processor does. The energy is the same, but no integral is, nor the run after it.
`standard` makes the choice from the molecule alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.irreps import irrep_codes, irrep_name
from hamiltonians.molecule.mean_field import MeanField, mean_fock

ORBITAL_KINDS = ("canonical", "mp2-natural", "ccsd-natural", "boys", "pipek-mezey", "lowdin")
"""Kinds of orbitals that a system can be built in."""

SAME_ENERGY = 2e-5
"""Hartree; orbitals closer than this count as degenerate. Coordinates of few decimals split them so far."""
SAME_OCCUPATION = 1e-7
"""Natural orbitals of occupations closer than this count as degenerate."""

# Weights of x^2, y^2 and z^2: no two alike, so that p, d, E and T sets split along the axes of the frame.
_QUADRUPOLE = np.array([1.0, 0.618034, 0.267949])
_DEPENDENT = 1e-7  # eigenvalue of the overlap
_SPLIT = 1e-3  # atomic units; expectation values closer than this do not tell orbitals apart
_CHARGE_OFFSET = np.array([0.71, 0.0, 0.43])  # bohr; in a mirror plane of most molecules


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


def joined(pieces: Sequence[Orbitals]) -> Orbitals:
    """Return sets of orbitals as one; without irreps where one of them has none."""
    labels = [piece.irreps for piece in pieces if piece.irreps is not None]
    return Orbitals(
        np.hstack([piece.coefficients for piece in pieces]),
        np.concatenate([piece.energies for piece in pieces]),
        np.concatenate([piece.occupation for piece in pieces]),
        sum(labels, ()) if len(labels) == len(pieces) else None,
    )


def canonical_orbitals(field: MeanField) -> tuple[Orbitals, ...]:
    """Return Hartree-Fock orbitals: one set, or (alpha, beta) for UHF.

    Occupied ones come first (doubly, then singly), by energy within each class; see `standard` for those
    of one energy.
    """
    coefficients = np.asarray(field.scf.mo_coeff)
    size = coefficients.shape[-1]
    energies = np.asarray(field.scf.mo_energy).reshape(-1, size)
    occupations = np.rint(np.asarray(field.scf.mo_occ)).astype(int).reshape(-1, size)
    sets = zip(coefficients.reshape(-1, *coefficients.shape[-2:]), energies, occupations, _labels(field))
    ordered = []
    for c, e, occupation, irreps in sets:
        order = np.lexsort((e, -occupation))
        ordered.append(standard(field, Orbitals(c, e, occupation, irreps).take(order)))
    return tuple(ordered)


def natural_orbitals(field: MeanField, method: str, n_frozen: int) -> Orbitals:
    """Return natural orbitals of a correlated wave function, most occupied first.

    They diagonalise the spin-summed one-particle density matrix ("mp2-natural" or "ccsd-natural",
    unrelaxed, `n_frozen` core orbitals uncorrelated), within irreps where known; for UHF and ROHF too, so
    that there is one set for both spins.

    Raises:
        InputError: CCSD does not converge.
    """
    overlap = field.scf.get_ovlp()
    basis = canonical_orbitals(field)[0]
    density = _correlated_density(field, method, n_frozen)
    projected = basis.coefficients.T @ overlap @ density @ overlap @ basis.coefficients
    codes = irrep_codes(basis.irreps, field.group, basis.size)
    pieces = []
    for code in np.unique(codes):
        inside = np.flatnonzero(codes == code)
        values, block = np.linalg.eigh(-projected[np.ix_(inside, inside)])
        vectors = basis.coefficients[:, inside] @ block
        labels = None if basis.irreps is None else (irrep_name(int(code), field.group),) * inside.size
        pieces.append(Orbitals(vectors, values, np.zeros(inside.size, int), labels))
    unordered = joined(pieces)
    ordered = standard(field, unordered.take(np.argsort(unordered.energies, kind="stable")), SAME_OCCUPATION)
    n_alpha, n_beta = field.scf.mol.nelec
    numbers = np.arange(basis.size)
    return replace(ordered, occupation=(numbers < n_alpha).astype(int) + (numbers < n_beta))


def localised_orbitals(field: MeanField, orbitals: Orbitals, kind: str, n_core: int) -> Orbitals:
    """Return orbitals localised ("boys" or "pipek-mezey") within each space of one occupation.

    The first `n_core` are a core of their own. The energy of the reference determinant does not change.
    """
    from pyscf import lo

    localiser = lo.Boys if kind == "boys" else lo.PM
    space = orbitals.occupation.copy()
    space[:n_core] = 3  # core is doubly occupied, but kept apart
    coefficients = orbitals.coefficients.copy()
    energies = orbitals.energies.copy()
    fock = mean_fock(field)
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


def lowdin_orbitals(field: MeanField) -> Orbitals:
    """Return symmetrically orthogonalised atomic orbitals, those of lowest energy first: one set.

    The orthonormal orbitals closest to the atomic ones (Loewdin, J. Chem. Phys. 18, 365 (1950)), S^(-1/2).
    States whose electrons stay at atoms, as those of stretched bonds, are simplest in them.

    Raises:
        InputError: Atomic orbitals are linearly dependent.
    """
    values, vectors = np.linalg.eigh(field.scf.get_ovlp())
    n_alpha, n_beta = field.scf.mol.nelec
    if values[0] < _DEPENDENT or len(values) > np.asarray(field.scf.mo_coeff).shape[-1]:
        raise InputError(
            "orbitals 'lowdin': the basis is linearly dependent; give canonical or a smaller basis"
        )
    coefficients = (vectors / np.sqrt(values)) @ vectors.T
    expected = np.einsum("ai,ab,bi->i", coefficients, mean_fock(field), coefficients)
    order = np.argsort(np.round(expected, 6), kind="stable")  # equivalent atoms in their order
    numbers = np.arange(len(values))
    occupation = (numbers < n_alpha).astype(int) + (numbers < n_beta)
    return Orbitals(coefficients[:, order], expected[order], occupation, None)


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
    """Return the same space in orbitals that each lie in one irrep and diagonalise `fock` there, by energy.

    None where there is no symmetry, or the space is not closed under the group. All `orbitals` have one
    occupation; `fock` is over atomic orbitals.
    """
    from pyscf import symm

    if field.group is None:
        return None
    molecule = field.scf.mol
    overlap = field.scf.get_ovlp()
    pieces = []
    for code, adapted in zip(molecule.irrep_id, molecule.symm_orb, strict=True):
        metric = adapted.T @ overlap @ adapted
        within = np.linalg.solve(metric, adapted.T @ overlap @ orbitals.coefficients)
        weight, vectors = np.linalg.eigh(within.T @ metric @ within)
        if np.any((weight > 1e-5) & (weight < 1 - 1e-5)):
            return None
        pure = adapted @ within @ vectors[:, weight > 0.5]
        values, rotation = np.linalg.eigh(pure.T @ fock @ pure)
        labels = (symm.irrep_id2name(field.group, code),) * values.size
        occupation = np.full(values.size, orbitals.occupation[0])
        pieces.append(Orbitals(pure @ rotation, values, occupation, labels))
    whole = joined(pieces)
    if whole.size != orbitals.size:
        return None
    return whole.take(np.argsort(whole.energies, kind="stable"))


def solve_correlation(solver: Any, refusal: str) -> None:
    """Run PySCF's MP2 or CCSD (and its Lambda equations), silently.

    Raises:
        InputError: CCSD does not converge; the message is `refusal`.
    """
    solver.verbose = 0
    if not hasattr(solver, "solve_lambda"):
        solver.kernel()
        return
    solver.max_cycle = 200
    solver.kernel()
    if solver.converged:
        solver.solve_lambda()
    if not solver.converged or not solver.converged_lambda:
        raise InputError(refusal)


def _labels(field: MeanField) -> list[tuple[str, ...] | None]:
    """Return the irreps of each set of orbitals."""
    from pyscf import symm

    if field.group is None:
        return [None, None]
    codes = np.asarray(field.scf.get_orbsym(field.scf.mo_coeff, field.scf.get_ovlp()))
    rows = codes.reshape(-1, codes.shape[-1]).tolist()
    return [tuple(symm.irrep_id2name(field.group, code) for code in row) for row in rows]


def _correlated_density(field: MeanField, method: str, n_frozen: int) -> np.ndarray:
    """Return the spin-summed one-particle density matrix over atomic orbitals."""
    from pyscf import cc, mp

    scf_object = field.scf
    n_alpha, n_beta = scf_object.mol.nelec
    coefficients = np.asarray(scf_object.mo_coeff)
    n_orbitals = coefficients.shape[-1]
    if n_alpha + n_beta - 2 * n_frozen < 2 or n_beta >= n_orbitals:  # nothing to correlate
        density = np.asarray(scf_object.make_rdm1())
        return density if density.ndim == 2 else density.sum(axis=0)
    solver = (mp.MP2 if method == "mp2-natural" else cc.CCSD)(scf_object, frozen=n_frozen or None)
    solve_correlation(solver, "ccsd-natural orbitals: CCSD did not converge; use 'mp2-natural'")
    matrices = solver.make_rdm1()
    if isinstance(matrices, tuple) or np.ndim(matrices) == 3:
        spins = coefficients if coefficients.ndim == 3 else np.stack([coefficients] * 2)
        return sum(c @ matrix @ c.T for c, matrix in zip(spins, matrices, strict=True))
    return coefficients @ matrices @ coefficients.T


def standard(
    field: MeanField, orbitals: Orbitals, tolerance: float = SAME_ENERGY, *, rotate: bool = True
) -> Orbitals:
    """Return the same orbitals, degenerate ones in one orientation and order, each with one sign.

    Orbitals of one occupation whose energies (or natural occupations) are within `tolerance` of the next are
    one set. Inside a set those of one irrep are made to diagonalise a fixed quadrupole and, where that does
    not split them, the field of a point charge beside every nucleus. Their order is that of irreps, then of
    the quadrupole. Without `rotate`, for orbitals that something else defines, only order and signs are set.
    """
    frame = _Frame(field)
    codes = irrep_codes(orbitals.irreps, field.group, orbitals.size)
    coefficients, order = orbitals.coefficients.copy(), []
    for members in _sets(orbitals, tolerance):
        if members.size > 1:
            members = members[np.argsort(codes[members], kind="stable")]
            for code in np.unique(codes[members]):
                alike = members[codes[members] == code]
                coefficients[:, alike] = _oriented(frame, coefficients[:, alike], rotate)
        order += members.tolist()
    ordered = replace(orbitals, coefficients=coefficients).take(order)
    # The largest coefficient is positive; of those equal to rounding, as on equivalent atoms, the first.
    magnitude = np.abs(ordered.coefficients)
    leading = np.argmax(magnitude > 0.999 * magnitude.max(axis=0), axis=0)
    signs = np.where(ordered.coefficients[leading, np.arange(ordered.size)] < 0, -1.0, 1.0)
    return replace(ordered, coefficients=ordered.coefficients * signs)


def _sets(orbitals: Orbitals, tolerance: float) -> list[np.ndarray]:
    """Return the indices of every set of neighbours with one occupation and one energy."""
    ends = (np.abs(np.diff(orbitals.energies)) > tolerance) | (np.diff(orbitals.occupation) != 0)
    return np.split(np.arange(orbitals.size), np.flatnonzero(ends) + 1)


def _oriented(frame: "_Frame", orbitals: np.ndarray, rotate: bool) -> np.ndarray:
    """Return the span of `orbitals` (n_ao, k) in eigenvectors of the quadrupole, then of the charges."""
    if orbitals.shape[1] == 1:
        return orbitals
    values, orbitals = _resolved(frame.quadrupole(), orbitals, rotate)
    groups = np.split(np.arange(values.size), np.flatnonzero(np.abs(np.diff(values)) > _SPLIT) + 1)
    for group in groups:
        if group.size > 1:
            orbitals[:, group] = _resolved(frame.charges(), orbitals[:, group], rotate)[1]
    return orbitals


def _resolved(operator: np.ndarray, orbitals: np.ndarray, rotate: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return expectation values of an operator, falling, and the orbitals in that order."""
    matrix = orbitals.T @ operator @ orbitals
    values, vectors = np.linalg.eigh(matrix) if rotate else (np.diag(matrix), np.eye(len(matrix)))
    order = np.argsort(-values, kind="stable")
    return values[order], orbitals @ vectors[:, order]


class _Frame:
    """Axes and origin of a molecule, those of its symmetry where that is used, and operators there."""

    def __init__(self, field: MeanField):
        self.molecule: Any = field.scf.mol
        charges = np.asarray(self.molecule.atom_charges(), dtype=float)
        self.positions = np.asarray(self.molecule.atom_coords())
        self.origin = charges @ self.positions / max(charges.sum(), 1.0)
        # The axes that PySCF found and named the irreps by; else those of the input.
        self.axes = np.eye(3) if field.group is None else np.asarray(self.molecule._symm_axes)

    def quadrupole(self) -> np.ndarray:
        """Return the matrix of a x^2 + b y^2 + c z^2 over atomic orbitals, (n_ao, n_ao)."""
        size = self.molecule.nao
        with self.molecule.with_common_origin(self.origin):
            products = np.asarray(self.molecule.intor("int1e_rr")).reshape(3, 3, size, size)
        weights = (self.axes.T * _QUADRUPOLE) @ self.axes
        return np.einsum("xy,xyij->ij", weights, products)

    def charges(self) -> np.ndarray:
        """Return the matrix of the attraction by a charge beside every nucleus, no two charges alike."""
        total = np.zeros((self.molecule.nao, self.molecule.nao))
        for index, position in enumerate(self.positions):
            weight = 1.0 + (0.618034 * index) % 1.0
            with self.molecule.with_rinv_origin(position + _CHARGE_OFFSET):
                total += weight * np.asarray(self.molecule.intor("int1e_rinv"))
        return total
