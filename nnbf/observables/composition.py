"""What a state is made of: its largest determinants, and over how many it is spread."""

from dataclasses import dataclass

import numpy as np

from nnbf.determinants import occupied_spin_orbitals, spin_flip
from nnbf.observables.expansion import Expansion


@dataclass(frozen=True)
class WeightedDeterminant:
    """One determinant of a state."""

    alpha: tuple[int, ...]
    """Occupied alpha orbitals, from 0."""
    beta: tuple[int, ...]
    """Occupied beta orbitals, from 0."""
    weight: float
    """psi^2 of the normalised state."""
    amplitude: float | None = None
    """psi; the largest one is positive. None where only weights are known."""
    error: float = 0.0
    """Statistical error of the weight."""


def largest_determinants(expansion: Expansion, count: int = 10) -> tuple[WeightedDeterminant, ...]:
    """The determinants of the largest weights, in falling order; both of a spin-flip pair are listed.

    Args:
        expansion: The state.
        count: How many, at most.
    """
    order = np.argsort(-np.abs(expansion.amplitudes), kind="stable")[:count]
    rows, psi = expansion.determinants[order], expansion.amplitudes[order]
    twice = np.flatnonzero(expansion.multiplicity[order] > 1.5)
    places = np.concatenate([np.arange(len(order)), twice])
    rows = np.concatenate([rows, spin_flip(rows[twice])])
    sequence = np.argsort(places, kind="stable")[:count]
    psi = np.sign(psi[0]) * psi[places[sequence]]
    return tuple(
        WeightedDeterminant(*split_spins(orbitals, expansion.n_orbitals), float(value**2), float(value))
        for orbitals, value in zip(
            occupied_spin_orbitals(rows[sequence], expansion.n_orbitals), psi, strict=True
        )
    )


def split_spins(orbitals: np.ndarray, n_orbitals: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Occupied spin orbitals of one determinant as spatial (alpha, beta) orbitals."""
    alpha = tuple(int(p) for p in orbitals if p < n_orbitals)
    return alpha, tuple(int(p) - n_orbitals for p in orbitals if p >= n_orbitals)


def inverse_participation_ratio(expansion: Expansion) -> float:
    """Sum of psi^4 of the normalised state: 1 for a single determinant, 1/n for n equal ones."""
    return float(np.sum(expansion.multiplicity * expansion.amplitudes**4))
