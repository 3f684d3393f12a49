"""Composition of molecular states: largest determinants, and the number they are spread over."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnbf.determinants import occupied_spin_orbitals, spin_flip
from nnbf.estimate import Estimate, jackknife_error
from nnbf.observables.observable_registry import observable

if TYPE_CHECKING:
    from nnbf.observables.measurements import MolecularMeasurement


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


@observable("largest_determinants", on=("molecule",))
def largest_determinants(measured: "MolecularMeasurement") -> tuple[WeightedDeterminant, ...]:
    """The determinants of the largest weights, in falling order; both of a spin-flip pair are listed."""
    return _largest(measured) if measured.configurations.is_exact else _most_frequent(measured)


def _largest(measured):
    state, count = measured.configurations, measured.n_largest
    order = np.argsort(-np.abs(state.amplitudes), kind="stable")[:count]
    rows, psi = state.determinants[order], state.amplitudes[order]
    twice = np.flatnonzero(state.multiplicity[order] > 1.5)
    places = np.concatenate([np.arange(len(order)), twice])
    rows = np.concatenate([rows, spin_flip(rows[twice])])
    sequence = np.argsort(places, kind="stable")[:count]
    psi = np.sign(psi[0]) * psi[places[sequence]]
    size = measured.integrals.n_orbitals
    orbitals = occupied_spin_orbitals(rows[sequence], size)
    return tuple(
        WeightedDeterminant(*_split_spins(row, size), float(value**2), float(value))
        for row, value in zip(orbitals, psi, strict=True)
    )


def _most_frequent(measured):
    samples, size = measured.configurations, measured.integrals.n_orbitals
    mean = samples.weights.T @ samples.shares
    order = np.argsort(-mean, kind="stable")[: measured.n_largest]
    errors = samples.error(samples.weights[:, order].toarray())
    orbitals = occupied_spin_orbitals(samples.determinants[order], size)
    return tuple(
        WeightedDeterminant(*_split_spins(row, size), float(mean[k]), None, float(error))
        for k, row, error in zip(order, orbitals, errors, strict=True)
    )


def _split_spins(orbitals: np.ndarray, n_orbitals: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Occupied spin orbitals of one determinant as spatial (alpha, beta) orbitals."""
    alpha = tuple(int(p) for p in orbitals if p < n_orbitals)
    return alpha, tuple(int(p) - n_orbitals for p in orbitals if p >= n_orbitals)


@observable("inverse_participation_ratio", on=("molecule",))
def inverse_participation_ratio(measured: "MolecularMeasurement") -> Estimate:
    """Sum of psi^4 of the normalised state: 1 for a single determinant, 1/n for n equal ones.

    Of samples, the probability that those of two different batches coincide.
    """
    state = measured.configurations
    if state.amplitudes is not None:
        return Estimate(float(np.sum(state.multiplicity * state.amplitudes**4)))
    overlaps = (state.weights @ state.weights.T).toarray()
    np.fill_diagonal(overlaps, 0.0)
    n = len(overlaps)
    total = overlaps.sum()
    left_out = (total - 2.0 * overlaps.sum(axis=0)) / ((n - 1) * (n - 2))
    return Estimate(float(total / (n * (n - 1))), float(jackknife_error(left_out)))
