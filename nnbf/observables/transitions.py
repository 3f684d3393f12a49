r"""Transitions between two states of a molecule that are known on lists of determinants.

.. math:: \gamma^\sigma_{pq} = \langle f | a^\dagger_{p\sigma} a_{q\sigma} | i \rangle, \qquad
    \mu_{fi} = \sum d_{pq} \gamma_{pq}, \qquad f = \tfrac23 (E_f - E_i) |\mu_{fi}|^2

Natural transition orbitals diagonalise :math:`\gamma^\dagger \gamma` and :math:`\gamma \gamma^\dagger`
(Martin, J. Chem. Phys. 118, 4775 (2003)). The squared norm of the transition density is the share of single
excitations (Plasser, Wormit, Dreuw, J. Chem. Phys. 141, 024106 (2014)); what it lacks is the character of a
double one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hamiltonians import OrbitalProperties
from nnbf.determinants import Amplitudes
from nnbf.determinants.density_sums import one_body_sums

#: Pairs of natural transition orbitals that are listed.
MOST_PAIRS = 3


@dataclass(frozen=True, eq=False)
class Transition:
    """From one state to another of the same electrons."""

    energy: float
    """Excitation energy, Hartree."""
    density: np.ndarray
    """Transition density matrices (2, M, M) of alpha and beta electrons."""
    dipole: np.ndarray | None
    """Transition dipole (3,), e a_0; its sign is that of the states. None where integrals are unknown."""

    @property
    def oscillator_strength(self) -> float | None:
        """Of dipole transitions in the length form; from one state to one state."""
        return None if self.dipole is None else float(2.0 / 3.0 * self.energy * self.dipole @ self.dipole)

    @property
    def single_excitations(self) -> float:
        """Squared norm of the transition density: near 1 for a single excitation, near 0 for a double one."""
        return float(np.sum(self.density**2))

    def orbitals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Natural transition orbitals: weights (M,), holes (M, M) and particles (M, M) in columns.

        Those of alpha electrons, with the weight of both spins.
        """
        particles, values, holes = np.linalg.svd(self.density[0])
        weights = np.sum(self.density**2) * values**2 / max(float(np.sum(values**2)), 1e-300)
        return weights, holes.T, particles

    def record(self) -> dict[str, Any]:
        """Plain numbers: excitation energy, dipole, oscillator strength, and the leading orbitals."""
        weights, holes, particles = self.orbitals()
        pairs = [
            {
                "weight": float(weights[k]),
                "hole": int(np.argmax(np.abs(holes[:, k]))),
                "particle": int(np.argmax(np.abs(particles[:, k]))),
            }
            for k in range(min(MOST_PAIRS, len(weights)))
            if weights[k] > 1e-3
        ]
        return {
            "transition_dipole": None if self.dipole is None else self.dipole.tolist(),
            "oscillator_strength": self.oscillator_strength,
            "single_excitations": self.single_excitations,
            "double_character": max(0.0, 1.0 - self.single_excitations),
            "natural_transition_orbitals": pairs,
        }


def transition(
    lower: tuple[np.ndarray, np.ndarray],
    upper: tuple[np.ndarray, np.ndarray],
    energy: float,
    n_orbitals: int,
    properties: OrbitalProperties | None = None,
) -> Transition:
    """Transition between two real states.

    Args:
        lower: Determinants (n, 2 W) and normalised amplitudes (n,) of the state that is left.
        upper: The same of the other one, on a list of its own.
        energy: Excitation energy, Hartree.
        n_orbitals: M.
        properties: Dipole integrals of the orbitals.
    """
    from_lower = Amplitudes.listed(*lower, False)
    density = one_body_sums(*upper, from_lower, np.zeros(n_orbitals, np.int64))
    dipole = None
    if properties is not None and properties.dipole is not None:
        integrals = np.broadcast_to(properties.dipole, (2, *properties.dipole.shape[-3:]))
        dipole = np.einsum("sxpq,spq->x", integrals, density)
    return Transition(energy, density, dipole)
