"""One orientation, order and sign for orbitals that Hartree-Fock leaves free to choose.

Degenerate orbitals come out of a diagonalisation as any mixture, in any order, with any sign: rounding
decides, and so the processor does. The energy is the same, but no integral is, nor the run after it.
`standard` makes the choice from the molecule alone.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.irreps import irrep_codes

if TYPE_CHECKING:
    from hamiltonians.molecule.mean_field import MeanField
    from hamiltonians.molecule.orbitals import Orbitals

SAME_ENERGY = 2e-5
"""Hartree; orbitals closer than this count as degenerate. Coordinates of few decimals split them so far."""
SAME_OCCUPATION = 1e-7
"""Natural orbitals of occupations closer than this count as degenerate."""

# Weights of x^2, y^2 and z^2: no two alike, so that p, d, E and T sets split along the axes of the frame.
_QUADRUPOLE = np.array([1.0, 0.618034, 0.267949])
_SPLIT = 1e-3  # atomic units; expectation values closer than this do not tell orbitals apart
_CHARGE_OFFSET = np.array([0.71, 0.0, 0.43])  # bohr; in a mirror plane of most molecules


def standard(
    field: "MeanField", orbitals: "Orbitals", tolerance: float = SAME_ENERGY, *, rotate: bool = True
) -> "Orbitals":
    """Return the same orbitals, degenerate ones in one orientation and order, each with one sign.

    Orbitals of one occupation whose energies are within `tolerance` of the next are one set. Inside a set
    those of one irrep are made to diagonalise a fixed quadrupole and, where that does not split them, the
    field of a point charge beside every nucleus. Their order is that of irreps, then of the quadrupole.

    Args:
        field: Mean field of the orbitals: its molecule gives the frame.
        orbitals: Orbitals in their order, degenerate ones side by side.
        tolerance: Largest difference of energies (or occupations) inside a set.
        rotate: False for orbitals that something else defines, such as localised ones: then only their
            order and signs are set.
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
    return with_fixed_signs(ordered)


def with_fixed_signs(orbitals: "Orbitals") -> "Orbitals":
    """Return the orbitals with their largest coefficient positive; of equal ones the first."""
    magnitude = np.abs(orbitals.coefficients)
    # Equivalent atoms have coefficients equal to rounding.
    leading = np.argmax(magnitude > 0.999 * magnitude.max(axis=0), axis=0)
    signs = np.where(orbitals.coefficients[leading, np.arange(orbitals.size)] < 0, -1.0, 1.0)
    return replace(orbitals, coefficients=orbitals.coefficients * signs)


def _sets(orbitals: "Orbitals", tolerance: float) -> list[np.ndarray]:
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

    def __init__(self, field: "MeanField"):
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
