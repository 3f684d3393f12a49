"""Properties of orbitals besides the Hamiltonian: dipole integrals, overlaps between spins."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hamiltonians.errors import InputError, real_array, symmetrised

if TYPE_CHECKING:
    from hamiltonians.molecule.mean_field import MeanField
    from hamiltonians.molecule.orbitals import Orbitals

DEBYE = 2.541746473
"""Debye in one atomic unit of the dipole moment, e a_0 (CODATA 2018)."""


@dataclass(frozen=True, eq=False)
class OrbitalProperties:
    r"""Integrals of observables in the orbitals of a Hamiltonian, in atomic units.

    .. math:: \mu = \mu_0 + \sum_{pq\sigma} d^\sigma_{pq} \langle a^\dagger_{p\sigma} a_{q\sigma} \rangle

    Everything is optional: what is unknown is None.

    Raises:
        InputError: Shapes disagree, or values are not finite.
    """

    dipole: np.ndarray | None = None
    """d_pq = -<p|r - origin|q>, the charge of the electron included: (3, M, M), or (2, 3, M, M) for
    [alpha, beta]."""
    dipole_constant: np.ndarray | None = None
    """mu_0, of the nuclei and of frozen electrons: (3,)."""
    dipole_origin: np.ndarray | None = None
    """Origin of the coordinates, (3,), bohr."""
    overlap_alpha_beta: np.ndarray | None = None
    """<p alpha|q beta> of spatial orbitals, (C + M, C + M), the C frozen ones first; None where both
    spins have the same orbitals, or where it is unknown."""
    coefficients: np.ndarray | None = None
    """The orbitals over Loewdin-orthonormalised atomic ones, S^(1/2) C: (n_ao, M), or (2, n_ao, M) for
    [alpha, beta]; see `hamiltonians.molecule.alignment`."""

    def __post_init__(self) -> None:
        """Check shapes and freeze the arrays."""
        parts = (self.dipole, self.dipole_constant, self.dipole_origin)
        if any(part is None for part in parts) and any(part is not None for part in parts):
            raise InputError("a dipole needs dipole, dipole_constant and dipole_origin: give all or none")
        shapes = {
            "dipole": lambda shape: len(shape) in (3, 4) and shape[-3] == 3 and shape[-1] == shape[-2],
            "dipole_constant": lambda shape: shape == (3,),
            "dipole_origin": lambda shape: shape == (3,),
            "overlap_alpha_beta": lambda shape: len(shape) == 2 and shape[0] == shape[1],
            "coefficients": lambda shape: len(shape) in (2, 3) and shape[-2] >= shape[-1],
        }
        for name, fits in shapes.items():
            if getattr(self, name) is None:
                continue
            array = real_array(getattr(self, name), name)
            if not fits(array.shape):
                raise InputError(f"{name} of shape {array.shape} does not fit: see OrbitalProperties")
            if name == "dipole":
                array = symmetrised(array, name, "d_pq = d_qp")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def check(self, n_orbitals: int, is_spin_resolved: bool) -> None:
        """Require that the properties fit a Hamiltonian.

        Raises:
            InputError: They are those of other orbitals.
        """
        shape = (2, 3, n_orbitals, n_orbitals) if is_spin_resolved else (3, n_orbitals, n_orbitals)
        if self.dipole is not None and self.dipole.shape != shape:
            raise InputError(f"dipole of shape {self.dipole.shape} for {n_orbitals} orbitals")
        overlap = self.overlap_alpha_beta
        if overlap is not None and (not is_spin_resolved or len(overlap) < n_orbitals):
            raise InputError(f"overlap_alpha_beta of shape {overlap.shape} for {n_orbitals} orbitals")
        found = self.coefficients
        if found is not None and (found.shape[-1] != n_orbitals or (found.ndim == 3) != is_spin_resolved):
            raise InputError(f"coefficients of shape {found.shape} for {n_orbitals} orbitals")

    def rotate(self, coefficients: np.ndarray) -> "OrbitalProperties":
        """Return the properties in new orbitals; see `MolecularIntegrals.rotate`.

        Args:
            coefficients: C, orthogonal: (M, M), or (2, M, M) for different alpha and beta orbitals.
                The latter makes everything spin-resolved.
        """
        rotations = np.broadcast_to(coefficients, (2, *coefficients.shape[-2:]))
        overlap, dipole = self.overlap_alpha_beta, self.dipole
        if coefficients.ndim == 3 and overlap is None and (dipole is None or dipole.ndim == 3):
            overlap = np.eye(coefficients.shape[-1])
        if overlap is not None:
            first = len(overlap) - coefficients.shape[-1]
            rotated = overlap.copy()
            rotated[first:] = rotations[0].T @ rotated[first:]
            rotated[:, first:] = rotated[:, first:] @ rotations[1]
            overlap = rotated
        if dipole is not None:
            resolved = dipole.ndim == 4 or coefficients.ndim == 3
            blocks = np.broadcast_to(dipole, (2, *dipole.shape[-3:])) if resolved else dipole[None]
            blocks = np.stack([c.T @ block @ c for c, block in zip(rotations, blocks)])
            dipole = blocks if resolved else blocks[0]
        orbitals = self.coefficients
        if orbitals is not None:
            orbitals = orbitals @ coefficients  # a set for each spin where either has one
        return replace(self, dipole=dipole, overlap_alpha_beta=overlap, coefficients=orbitals)


def molecular_properties(
    field: "MeanField", core: tuple["Orbitals", ...], active: tuple["Orbitals", ...]
) -> OrbitalProperties:
    """Return the properties of frozen and active orbitals, one set or (alpha, beta).

    The origin is the centre of nuclear charge (of what effective core potentials leave of it), so that
    the nuclei contribute nothing and the dipole moment of an ion is defined.
    """
    molecule = field.scf.mol
    charges = np.asarray(molecule.atom_charges(), dtype=float)
    positions = np.asarray(molecule.atom_coords())
    total = charges.sum()
    origin = charges @ positions / total if total else positions.mean(axis=0)
    with molecule.with_common_origin(origin):
        electron = -np.asarray(molecule.intor_symmetric("int1e_r", comp=3))
    constant = charges @ (positions - origin)
    for orbitals in core * (2 // len(core)):
        c = orbitals.coefficients
        constant = constant + np.einsum("xij,ip,jp->x", electron, c, c)
    spins = [part.coefficients for part in active]
    overlap = None
    if len(spins) == 2:
        alpha, beta = (
            np.hstack([frozen.coefficients, part.coefficients])
            for frozen, part in zip(core, active, strict=True)
        )
        overlap = alpha.T @ field.scf.get_ovlp() @ beta
    root = _square_root(field.scf.get_ovlp())
    dipole, coefficients = [c.T @ electron @ c for c in spins], [root @ c for c in spins]
    if len(spins) == 2:
        return OrbitalProperties(np.stack(dipole), constant, origin, overlap, np.stack(coefficients))
    return OrbitalProperties(dipole[0], constant, origin, None, coefficients[0])


def _square_root(overlap: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(overlap)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
