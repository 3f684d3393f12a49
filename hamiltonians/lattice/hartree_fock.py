"""Unrestricted Hartree-Fock of lattice models."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hamiltonians.lattice.model import Lattice

#: Iterations of one start, and the change of the density matrices that ends it.
_MOST_ITERATIONS, _SETTLED = 400, 1e-9
#: Starts from random potentials, beside free fermions and an ordered one; strength of such potentials (t).
_RANDOM_STARTS, _STRENGTH = 6, 2.0


@dataclass(frozen=True, eq=False)
class MeanField:
    """The Slater determinant of lowest energy that was found."""

    energy: float
    """Its energy, in units of t times `Lattice.t`: an upper bound of the ground state."""
    orbitals: tuple[np.ndarray, ...]
    """For each spin (N, n_sites) orthonormal orbitals, row by row; real unless a twist makes them complex."""
    converged: bool
    """True where it is self-consistent."""


@lru_cache(maxsize=8)  # a plan asks for it, then every sector of the run
def mean_field(model: Lattice, seed: int = 0) -> MeanField:
    r"""Minimise the energy of one determinant with orbitals of each spin (collinear, no symmetry imposed).

    .. math::

        F^\sigma_{ij} = h_{ij} + \delta_{ij} \Big( U n_{i,-\sigma} + \sum_k W_{ik} n_k \Big)
                        - W_{ij} \rho^\sigma_{ij}

    is iterated from free fermions, from two sublattices, and from random potentials; the lowest counts.

    Args:
        model: The model.
        seed: Of the random potentials.
    """
    rng = np.random.default_rng(seed)
    ordered = _STRENGTH * np.where(model.cells.sum(axis=1) % 2 == 0, 1.0, -1.0)
    if model.lattice.n_basis > 1:
        ordered = _STRENGTH * np.where(model.sublattices == 0, 1.0, -1.0)
    fields = [np.zeros((len(model.particles), model.n_sites))]
    fields.append(np.array([ordered, -ordered][: len(model.particles)]))
    shape = fields[0].shape
    fields += [_STRENGTH * rng.normal(size=shape) for _ in range(_RANDOM_STARTS)]
    return min((_iterated(model, field) for field in fields), key=lambda found: found.energy)


def _iterated(model: Lattice, field: np.ndarray) -> MeanField:
    orbitals = [
        _lowest(model.hopping + np.diag(potential), number)
        for potential, number in zip(field, model.particles, strict=True)
    ]
    densities, converged = [_density(rows) for rows in orbitals], False
    for _ in range(_MOST_ITERATIONS):
        orbitals = [
            _lowest(matrix, number)
            for matrix, number in zip(_fock(model, densities), model.particles, strict=True)
        ]
        new = [_density(rows) for rows in orbitals]
        change = max(float(np.abs(a - b).max()) for a, b in zip(new, densities, strict=True))
        if change < _SETTLED:
            converged = True
            break
        # Half of the step: full ones swing from side to side.
        densities = [0.5 * (a + b) for a, b in zip(new, densities, strict=True)]
    return MeanField(_energy(model, [_density(rows) for rows in orbitals]), tuple(orbitals), converged)


def _lowest(matrix: np.ndarray, number: int) -> np.ndarray:
    return np.linalg.eigh(matrix)[1][:, :number].T


def _density(orbitals: np.ndarray) -> np.ndarray:
    """rho_ij = <c+_j c_i>."""
    return orbitals.T @ orbitals.conj()


def _fock(model: Lattice, densities: list[np.ndarray]) -> list[np.ndarray]:
    occupations = [np.diag(rho).real for rho in densities]
    total = sum(occupations)
    matrices = []
    for spin, rho in enumerate(densities):
        potential = model.repulsion @ total
        if model.is_spinful:
            potential = potential + model.U * occupations[1 - spin]
        matrices.append(model.hopping + np.diag(potential) - model.repulsion * rho)
    return matrices


def _energy(model: Lattice, densities: list[np.ndarray]) -> float:
    occupations = [np.diag(rho).real for rho in densities]
    total = sum(occupations)
    energy = sum(float(np.sum(model.hopping * rho.conj()).real) for rho in densities)
    energy += 0.5 * float(total @ model.repulsion @ total)
    energy -= 0.5 * sum(float(np.sum(model.repulsion * np.abs(rho) ** 2)) for rho in densities)
    if model.is_spinful:
        energy += model.U * float(occupations[0] @ occupations[1])
    return energy
