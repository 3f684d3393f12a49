r"""Projection of Slater determinants on total spin, by an exact sum over rotations.

.. math::

    P^S_{MM} = \frac{2S+1}{2} \int_{-1}^{1} d\cos\beta\; d^S_{MM}(\beta)\, R_y(\beta)

takes the part of spin S from a determinant of orbitals with a spin each, whose S_z is M already
(Scuseria et al., J. Chem. Phys. 135, 124108 (2011)). The rotated determinant is one of orbitals with both
spins, :math:`\phi_\uparrow \to \cos\tfrac\beta2 \phi_\uparrow + \sin\tfrac\beta2 \phi_\downarrow`; at every
configuration the integrand is a polynomial in :math:`\cos\beta`, and Gauss-Legendre points make it exact.
"""

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import eval_jacobi

from hamiltonians.lattice.model import spin_range


@lru_cache(maxsize=32)
def spin_rotations(
    total_spin: float, particles: tuple[int, int], n_sites: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cos(beta/2), sin(beta/2) and weights, each (A,), of the rotations that project on a total spin.

    Args:
        total_spin: S, a multiple of 1/2.
        particles: Particles with spin up and down.
        n_sites: Sites; more particles than sites have no more spin than as many holes.

    Raises:
        ValueError: So many particles do not have this spin.
    """
    projection, largest = spin_range(particles, n_sites)
    steps = total_spin - projection
    if steps < 0 or total_spin > largest or steps != round(steps):
        possible = f"from {projection:g} to {largest:g}" if largest > projection else f"{projection:g}"
        raise ValueError(
            f"total spin {total_spin:g}: {particles[0]} up and {particles[1]} down particles on {n_sites} "
            f"sites have {possible}"
        )
    nodes, weights = np.polynomial.legendre.leggauss(math.ceil((total_spin + largest + 1) / 2))
    half = np.arccos(nodes) / 2
    matrix_element = np.cos(half) ** (2 * projection) * eval_jacobi(steps, 0, 2 * projection, nodes)
    return np.cos(half), np.sin(half), (total_spin + 0.5) * weights * matrix_element


def rotated(
    blocks: list[list[jax.Array]] | list[list[np.ndarray]], cosines: np.ndarray, sines: np.ndarray
) -> jax.Array:
    """Matrices (..., A, N, N) of all orbitals at all particles, after each rotation.

    Args:
        blocks: ``blocks[s][t]`` (..., N_s, N_t): orbitals of spin t at the particles of spin s.
        cosines: (A,) of half the angles.
        sines: (A,).
    """
    (upper, raised), (lowered, lower) = [[block[..., None, :, :] for block in row] for row in blocks]
    c, s = cosines[:, None, None], sines[:, None, None]
    rows = [jnp.concatenate([c * upper, -s * raised], axis=-1), jnp.concatenate([s * lowered, c * lower], -1)]
    return jnp.concatenate(rows, axis=-2)
