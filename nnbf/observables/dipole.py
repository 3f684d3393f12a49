"""Dipole moments from one-particle density matrices."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians import DEBYE, OrbitalProperties
from nnbf.estimate import Estimate
from nnbf.observables.observable_registry import observable

if TYPE_CHECKING:
    from nnbf.observables.molecular_measurement import MolecularMeasurement


class DipoleMoment(Estimate):
    """A dipole moment (3,) with its errors."""

    def record(self) -> dict[str, Any]:
        """Plain numbers, its norm among them."""
        value, error = np.asarray(self.value), np.asarray(self.error)
        size = float(np.linalg.norm(value))
        of_size = float(np.linalg.norm(value * error) / size) if size else float(np.linalg.norm(error))
        return {
            "value": value.tolist(),
            "error": error.tolist(),
            "kind": self.kind,
            "norm": size,
            "norm_error": of_size,
        }


@observable("dipole_au", unit="e a0", on=("molecule",), label="dipole moment (x, y, z)")
def dipole_au(measured: "MolecularMeasurement") -> DipoleMoment | None:
    """Dipole moment (3,), e a_0, with nuclei and frozen electrons; None where unknown."""
    parts = dipole_moment(measured.properties, measured.one_body_parts)
    if parts is None:
        return None
    found = measured.configurations.estimate(parts)
    return DipoleMoment(found.value, found.error)


@observable("dipole_debye", unit="debye", on=("molecule",), label="dipole moment (x, y, z)")
def dipole_debye(measured: "MolecularMeasurement") -> DipoleMoment | None:
    """Dipole moment (3,) in debye."""
    found = dipole_au(measured)
    return None if found is None else DipoleMoment(DEBYE * found.value, DEBYE * found.error)


def dipole_moment(properties: OrbitalProperties | None, one_body: np.ndarray) -> np.ndarray | None:
    """Dipole moment in atomic units (e a_0), nuclei and frozen electrons included.

    Args:
        properties: Dipole integrals and the constant part. The moment of an ion is that about their
            origin, the centre of nuclear charge.
        one_body: (..., 2, M, M) alpha and beta density matrices.

    Returns:
        (..., 3), or None where the integrals are not known.
    """
    if properties is None or properties.dipole is None or properties.dipole_constant is None:
        return None
    integrals = np.broadcast_to(properties.dipole, (2, *properties.dipole.shape[-3:]))
    return properties.dipole_constant + np.einsum("sxpq,...spq->...x", integrals, one_body)
