r"""Orbitals of one geometry turned to those of another, so that determinants keep their meaning.

Orbitals of two geometries are compared over Loewdin-orthonormalised atomic orbitals, :math:`K = S^{1/2} C`,
which move with their atoms: the overlap :math:`K_{old}^T K_{new}` is orthogonal where all orbitals are there,
needs no integrals between geometries, and does not fall off as atoms move apart, as that of the atomic
orbitals themselves does (1s of nitrogen in STO-3G after 0.1 Angstrom: 0.79). This is the symmetric connection
of Helgaker and Jorgensen, Adv. Quantum Chem. 19, 183 (1988); see also Olsen, Bak, Ruud, Helgaker, Jorgensen,
Theor. Chim. Acta 90, 421 (1995).

New orbitals are rotated among those of one occupation in the reference determinant and one irrep, by the
orthogonal matrix that brings them closest to the old ones (Procrustes; Schoenemann, Psychometrika 31, 1
(1966)). So the reference determinant and the irreps stay what they are, and signs, order and mixtures of
degenerate orbitals become those of the old geometry.
"""

from dataclasses import dataclass, replace

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.integrals import irrep_bits
from hamiltonians.molecule.system import Molecule


@dataclass(frozen=True, eq=False)
class Alignment:
    """A system in orbitals that were turned to those of another geometry."""

    system: Molecule
    """The system; orbital p is that which is closest to orbital p of the other one."""
    overlap: float
    """How well they match: the smallest singular value of the overlap, over all groups of orbitals that are
    turned together; 1 for the same ones, 0 where some orbital has no counterpart."""


def align_orbitals(system: Molecule, like: Molecule) -> Alignment:
    """Turn the orbitals of a system to those of another geometry of the same molecule.

    Example:
        >>> first, second = (build_molecule(f"H 0 0 0; F 0 0 {r}") for r in (0.9, 1.0))  # doctest: +SKIP
        >>> align_orbitals(second, like=first).overlap > 0.99  # doctest: +SKIP
        True

    Args:
        system: The system to be turned.
        like: The other geometry: the same elements in the same order, basis, electrons, and number of
            orbitals.

    Raises:
        InputError: They are not comparable, or the orbitals of one of them are not known (FCIDUMP files).
    """
    _require_comparable(system, like)
    new, old = (getattr(one.properties, "coefficients", None) for one in (system, like))
    if new is None or old is None:
        raise InputError("the orbitals of one of the systems are not known: none can be aligned")
    if new.shape != old.shape:
        raise InputError(
            f"orbitals of shape {new.shape} cannot be aligned with those of shape {old.shape}: "
            "build both systems alike"
        )
    codes = irrep_bits(system.integrals)
    found = [
        _rotation(before.T @ after, before_class, after_class, codes)
        for before, after, before_class, after_class in zip(
            old.reshape(-1, *old.shape[-2:]),
            new.reshape(-1, *new.shape[-2:]),
            _classes(like),
            _classes(system),
            strict=True,
        )
    ]
    rotation = found[0][0] if len(found) == 1 else np.stack([one for one, _ in found])
    integrals = system.integrals.rotate(rotation)
    integrals = replace(integrals, reference_occupation=like.integrals.reference_occupation)
    properties = None if system.properties is None else system.properties.rotate(rotation)
    info = replace(system.info, orbitals=f"{system.info.orbitals.removesuffix(', aligned')}, aligned")
    turned = replace(system, integrals=integrals, info=info, properties=properties)
    return Alignment(turned, min(least for _, least in found))


def _require_comparable(system: Molecule, like: Molecule) -> None:
    new, old = system.integrals, like.integrals
    pairs = {
        "electrons (alpha, beta)": ((old.n_alpha, old.n_beta), (new.n_alpha, new.n_beta)),
        "orbitals": (old.n_orbitals, new.n_orbitals),
        "sets of orbitals, one for each spin or one for both": (old.one_body.ndim - 1, new.one_body.ndim - 1),
        "atoms": (_symbols(like), _symbols(system)),
        "basis": (like.info.basis.casefold(), system.info.basis.casefold()),
        "effective core potentials": (like.info.ecp, system.info.ecp),
        "frozen orbitals": (like.info.n_frozen_core, system.info.n_frozen_core),
    }
    for what, (then, now) in pairs.items():
        if then != now:
            raise InputError(f"orbitals cannot be aligned: {what} {then} there and {now} here")


def _symbols(system: Molecule) -> str:
    return " ".join(symbol for symbol, _ in system.info.atoms)


def _classes(system: Molecule) -> list[np.ndarray]:
    """Return the occupation of every orbital in the reference determinant, (M,), for each set of orbitals."""
    integrals = system.integrals
    filled = np.zeros((2, integrals.n_orbitals), dtype=int)
    for row, occupied in zip(filled, integrals.reference_occupation, strict=True):
        row[list(occupied)] = 1
    return list(filled) if integrals.is_spin_resolved else [2 * filled[0] + filled[1]]


def _rotation(
    overlap: np.ndarray, old_class: np.ndarray, new_class: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return U with |new j> = sum_p |p> U_pj nearest to old orbital j, and the smallest singular value.

    `overlap` is <old j|new p>, (M, M); classes are occupations, and codes the irreps of the new orbitals.
    """
    rotation, least = np.zeros_like(overlap), 1.0
    if not np.array_equal(np.sort(old_class), np.sort(new_class)):
        raise InputError("orbitals cannot be aligned: their reference determinants are of different kinds")
    for label in np.unique(old_class):
        old, new = np.flatnonzero(old_class == label), np.flatnonzero(new_class == label)
        irreps = _irreps_of_counterparts(overlap[np.ix_(old, new)], codes[new])
        for code in np.unique(codes[new]):
            rows, columns = old[irreps == code], new[codes[new] == code]
            left, values, right = np.linalg.svd(overlap[np.ix_(rows, columns)])
            rotation[np.ix_(columns, rows)] = (left @ right).T
            least = min(least, float(values.min()))
    return rotation, least


def _irreps_of_counterparts(overlap: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the new irrep that each old orbital falls to, as many for each irrep as there are new ones."""
    from scipy.optimize import linear_sum_assignment

    weights = np.empty_like(overlap)
    for code in np.unique(codes):
        inside = codes == code
        weights[:, inside] = np.sum(overlap[:, inside] ** 2, axis=1, keepdims=True)
    _, columns = linear_sum_assignment(weights, maximize=True)
    return codes[columns]
