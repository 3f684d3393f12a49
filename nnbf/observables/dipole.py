"""Dipole moments from one-particle density matrices."""

import numpy as np

from hamiltonians import OrbitalProperties


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
