r"""Moments of a response from samples of |psi|^2: where the configurations cannot be listed.

For an operator :math:`O(n)` that is diagonal, with :math:`J = [H, O]`, moments of the response of an
eigenstate are

.. math:: m_0 = \langle |O|^2 \rangle, \quad m_1 = \tfrac12 \langle [O^\dagger, [H, O]] \rangle, \quad
    m_2 = \langle J^\dagger J \rangle, \quad m_3 = \langle J^\dagger [H, J] \rangle,

without the energy in them: each is a mean over samples of products of

.. math:: J(n) = \sum_{n'} H_{nn'} (O(n') - O(n)) \frac{\psi(n')}{\psi(n)}

and the like (m_1 averages q and -q). Two poles and weights follow from the four, as of a continued fraction
that is cut after two steps: they have the same moments, the lower one lies above the lowest excitation of
that momentum, and :math:`m_1 / m_0` is Feynman's (Phys. Rev. 94, 262 (1954)). Errors are those of a jackknife
over chains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nnbf.estimate import jackknife_error
from nnbf.operators import Hamiltonian

LogPsi = Callable[[np.ndarray], Any]

#: Samples whose connections of connections are held at once.
AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class SampledMoments:
    """Moments and poles of one operator, with standard errors."""

    moments: np.ndarray
    """(4,) m_0 to m_3."""
    moment_errors: np.ndarray
    """(4,)."""
    positions: np.ndarray
    """(2,) poles, or (1,) where one holds all the weight."""
    position_errors: np.ndarray
    """Their errors."""
    weights: np.ndarray
    """Weights of the poles."""
    weight_errors: np.ndarray
    """Their errors."""
    single_mode: tuple[float, float]
    """m_1 / m_0 and its error."""


def sampled_moments(
    hamiltonian: Hamiltonian,
    log_psi: LogPsi,
    occupations: np.ndarray,
    weights: np.ndarray,
    fields: Sequence[np.ndarray],
    every: int = 1,
) -> list[SampledMoments]:
    """Moments of the operators sum_i f_i n_i from samples.

    Args:
        hamiltonian: H.
        log_psi: Occupations (n, modes) -> complex log psi (n,).
        occupations: (chains, length, modes); chains are independent, at least 4 of them.
        weights: (chains, length) weights of the samples, |psi|^2 over the density they were drawn from.
        fields: (modes,) for each operator.
        every: The third moment, which takes the connections of connections, comes from every so many samples
            of a chain.

    Raises:
        FloatingPointError: Ratios of amplitudes are not finite.
    """
    low = _means(partial(_near, hamiltonian, log_psi, np.stack(fields)), occupations, weights, 16 * AT_ONCE)
    chosen = occupations[:, ::every], weights[:, ::every]
    third = _means(partial(_far, hamiltonian, log_psi, np.stack(fields)), *chosen, AT_ONCE)
    return [_with_errors(*map(np.concatenate, zip(*pair))) for pair in zip(low, third, strict=True)]


def poles_of_moments(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two poles and weights with the moments m_0 to m_3 (Gauss quadrature), one where two make no sense."""
    m0, m1, m2, m3 = moments
    first = m1 / m0
    spread = m2 / m0 - first**2
    if not spread > 1e-12 * first**2:
        return np.array([first]), np.array([m0])
    second = (m3 / m0 - 2 * first * m2 / m0 + first**3) / spread
    positions, vectors = np.linalg.eigh(np.array([[first, np.sqrt(spread)], [np.sqrt(spread), second]]))
    return positions, m0 * vectors[0] ** 2


def _means(local, occupations, weights, at_once) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each field means (k,), and those (k, chains) without one chain, of local quantities."""
    chains, length, modes = occupations.shape
    rows = np.ascontiguousarray(occupations.reshape(-1, modes))
    parts = [local(rows[lo : lo + at_once]) for lo in range(0, len(rows), at_once)]
    found = np.concatenate(parts, axis=2)
    if not np.all(np.isfinite(found)):
        raise FloatingPointError("ratios of amplitudes are not finite")
    sums = np.einsum("fkcl,cl->fkc", found.reshape(*found.shape[:2], chains, length), weights)
    norms = weights.sum(axis=1)
    total = sums.sum(axis=2)
    without = (total[..., None] - sums) / (norms.sum() - norms)
    return list(zip(total / norms.sum(), without, strict=True))


def _near(hamiltonian, log_psi, fields, rows) -> np.ndarray:
    """Terms (fields, 3, n) of m_0 to m_2 of samples."""
    near = hamiltonian.connections(rows)
    logs = np.asarray(log_psi(near.occupations), complex)
    ratio = np.exp(logs[near.target] - logs[near.own][near.row]) * near.element
    found = np.empty((len(fields), 3, len(rows)))
    for number, field in enumerate(fields):
        own = rows @ field
        step = (near.occupations @ field)[near.target] - own[near.row]
        double = -0.5 * _summed(ratio * np.abs(step) ** 2, near.row, len(rows))
        current = _summed(ratio * step, near.row, len(rows))
        found[number] = np.abs(own) ** 2, double.real, np.abs(current) ** 2
    return found


def _far(hamiltonian, log_psi, fields, rows) -> np.ndarray:
    """Terms (fields, 1, n) of m_3 of samples."""
    near = hamiltonian.connections(rows)
    far = hamiltonian.connections(near.occupations)
    logs = np.asarray(log_psi(far.occupations), complex)
    own_far = logs[far.own]
    # Ratios of all that is reached from neighbours to the neighbours.
    ratio_far = np.exp(logs[far.target] - own_far[far.row]) * far.element
    energy = _summed(ratio_far, far.row, len(near.occupations))
    ratio = np.exp(own_far[near.target] - own_far[near.own][near.row]) * near.element
    found = np.empty((len(fields), 1, len(rows)))
    for number, field in enumerate(fields):
        at_far, at_near, own = (part @ field for part in (far.occupations, near.occupations, rows))
        currents = _summed(ratio_far * (at_far[far.target] - at_near[far.row]), far.row, len(energy))
        step = at_near[near.target] - own[near.row]
        current = _summed(ratio * step, near.row, len(rows))
        inner = ratio * (currents[near.target] - step * energy[near.target])
        found[number, 0] = (current.conj() * _summed(inner, near.row, len(rows))).real
    return found


def _summed(values, rows, count):
    return np.bincount(rows, values.real, count) + 1j * np.bincount(rows, values.imag, count)


def _with_errors(moments: np.ndarray, without: np.ndarray) -> SampledMoments:
    """Estimates from moments (4,), and those (4, chains) without one chain."""
    without = without.T
    positions, weights = poles_of_moments(moments)
    left = [poles_of_moments(m) for m in without]
    same = [pair for pair in left if len(pair[0]) == len(positions)]
    scale = np.sqrt(len(left) / max(len(same), 1))  # of some chains one pole is all
    of_poles, of_weights = (np.array([pair[k] for pair in same]) for k in range(2))
    ratio = without[:, 1] / without[:, 0]
    return SampledMoments(
        moments,
        jackknife_error(without),
        positions,
        scale * jackknife_error(of_poles),
        weights,
        scale * jackknife_error(of_weights),
        (float(moments[1] / moments[0]), float(jackknife_error(ratio))),
    )
