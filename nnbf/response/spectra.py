"""Spectra of operators on a state: poles, weights, sum rules, and their convergence with the space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hamiltonians.errors import InputError
from nnbf.operators import Hamiltonian
from nnbf.response.krylov import INDEPENDENT, followed_eigenvector, lanczos_poles
from nnbf.response.ladder_terms import LadderTerms
from nnbf.response.response_space import LEAST_DIRECTION, Started, response_spaces, second_orders
from nnbf.response.sampled_moments import SampledMoments

#: Norm of O|psi> below which an operator vanishes on a state (psi is normalised).
VANISHING = 1e-8
#: Poles closer than this (unit of energies) are one: levels of one multiplet, and Lanczos copies.
SAME_POLE = 1e-7
#: Poles of smaller share of the weight are not listed.
LEAST_WEIGHT = 1e-7
#: Poles that are corrected by perturbation theory: how many, share of the largest weight, residual.
MOST_CORRECTED, LEAST_CORRECTED, SETTLED = 8, 3e-3, 0.02
#: Largest list of O|psi> on which the first moment is summed independently of the Lanczos space.
MOST_SUMMED = 100_000

Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class KnownState:
    """A normalised state on a list of configurations."""

    hamiltonian: Hamiltonian
    """H at its particle numbers."""
    configurations: np.ndarray
    """(n, W) distinct bit strings."""
    amplitudes: np.ndarray
    """(n,) psi."""
    energy: float
    """<psi|H|psi>."""
    kind: str
    """network, or eigenvector of H on the same list."""
    complete: bool = False
    """True where the list holds all that H reaches: the eigenvector is then exact."""
    variance: float | None = None
    """<H^2> - <H>^2 within the list."""

    @classmethod
    def of(
        cls,
        hamiltonian: Hamiltonian,
        configurations: np.ndarray,
        amplitudes: np.ndarray,
        kind: str = "network",
        *,
        complete: bool = False,
    ) -> "KnownState":
        """Normalise amplitudes, and find their energy.

        Raises:
            FloatingPointError: Amplitudes are not finite, or all zero.
        """
        norm = np.linalg.norm(amplitudes)
        if not np.isfinite(norm) or norm == 0:
            raise FloatingPointError("the amplitudes of the state are not finite")
        psi = amplitudes / norm
        if np.iscomplexobj(psi):
            largest = psi[np.argmax(np.abs(psi))]
            psi = psi * (abs(largest) / largest)
            real = not np.iscomplexobj(hamiltonian.matrix(configurations[:1]).data)
            if real and np.linalg.norm(psi.imag) < 1e-9:
                psi = psi.real / np.linalg.norm(psi.real)
        image = hamiltonian.matrix(configurations) @ psi
        energy = float(np.vdot(psi, image).real)
        variance = float(np.linalg.norm(image - energy * psi) ** 2)
        return cls(hamiltonian, configurations, psi, energy, kind, complete, variance)

    def mean(self, operator: LadderTerms) -> complex:
        """<psi|O|psi> of an operator that keeps particle numbers."""
        image = Started.of([operator.applied(self.hamiltonian, self.configurations, self.amplitudes)])
        return complex(np.vdot(self.amplitudes, image.on(self.configurations)[:, 0]))

    def eigenvector(self) -> "KnownState":
        """The eigenvector of H on the list that this state stands for."""
        energy, psi = followed_eigenvector(self.hamiltonian.matrix(self.configurations), self.amplitudes)
        parts = self.hamiltonian, self.configurations, psi, energy, "eigenvector"
        return KnownState(*parts, complete=self.complete, variance=0.0)


@dataclass(frozen=True, eq=False)
class Channel:
    """Operators of one symmetry, whose response is computed in one space."""

    label: str
    """Name, such as x, (2,2) or A1."""
    operators: tuple[LadderTerms, ...]
    """One, or several that make a block."""
    sign: int = 1
    """+1 where a pole lies at E_b - E, -1 for removal: at E - E_b."""
    changed: Hamiltonian | None = None
    """H at the particle numbers of O|psi>; None where these stay."""
    facts: Any = None
    """More for the record: momentum, wave vector, symmetry."""
    double_commutator: LadderTerms | None = None
    """[O+, [H, O]] / 2 where that is an operator of one particle; its mean is the f-sum."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Response of one state in one channel."""

    positions: np.ndarray
    """(K,) poles omega."""
    weights: np.ndarray
    """(K,) sum_p |<b|O_p|psi>|^2, degenerate poles together."""
    residuals: np.ndarray
    """(K,) bound on the distance of a pole to an eigenvalue of H on the space."""
    corrections: np.ndarray
    """(K,) what second-order perturbation theory adds to the positions, of the state and of the poles, for
    what the space leaves out; zero where it is complete, NaN where it was not computed."""
    amplitudes: np.ndarray
    """(K, b) <b|O_p|psi> of the strongest of the degenerate states."""
    moments: dict[str, Any]
    """Sum rules: total weight and first moment found, expected, and their differences."""
    convergence: list[dict[str, Any]]
    """Sizes of the space with total weight, first moment and the strongest poles."""
    space: int
    """Configurations of the last space."""
    complete: bool
    """True where that space holds all that H reaches."""
    position_errors: np.ndarray | None = None
    """(K,) standard errors of positions, of samples."""
    weight_errors: np.ndarray | None = None
    """(K,) standard errors of weights, of samples."""

    @classmethod
    def sampled(cls, found: SampledMoments, n_samples: int) -> "Spectrum":
        """The poles of moments that were sampled."""
        moments: dict[str, Any] = {
            "total_weight": float(found.moments[0]),
            "total_weight_expected": float(found.moments[0]),
            "total_weight_defect": None,
            "first_moment": float(found.moments[1]),
            "first_moment_expected": None,
            "first_moment_defect": None,
            "moments": found.moments.tolist(),
            "moment_errors": found.moment_errors.tolist(),
            "single_mode": list(found.single_mode),
        }
        unknown = np.full(len(found.positions), np.nan)
        return cls(
            found.positions,
            found.weights,
            unknown,
            unknown,
            np.zeros((len(unknown), 0)),
            moments,
            [],
            n_samples,
            False,
            found.position_errors,
            found.weight_errors,
        )

    def record(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "positions": self.positions.tolist(),
            "weights": self.weights.tolist(),
            "residuals": self.residuals.tolist(),
            "corrections": self.corrections.tolist(),
            "moments": self.moments,
            "convergence": self.convergence,
            "space": self.space,
            "complete": self.complete,
            **({} if self.position_errors is None else {"position_errors": self.position_errors.tolist()}),
            **({} if self.weight_errors is None else {"weight_errors": self.weight_errors.tolist()}),
        }


def spectrum_of(
    state: KnownState, channel: Channel, *, max_space: int, steps: int, note: Note = lambda what: None
) -> Spectrum:
    """Response of a state to the operators of a channel.

    Number-conserving operators act without their mean: the elastic peak is not part of it.

    Args:
        state: psi.
        channel: The operators.
        max_space: Configurations of the space at most.
        steps: Lanczos steps.
        note: Told what is being done.

    Raises:
        InputError: All operators vanish on the state.
    """
    started = applied(state, channel)
    hamiltonian = channel.changed or state.hamiltonian
    expected = _expected_moments(hamiltonian, started, state.energy)
    convergence: list[dict[str, Any]] = []
    for space in response_spaces(hamiltonian, started, max_space):
        starts = started.on(space.configurations)
        least = INDEPENDENT if space.complete else LEAST_DIRECTION
        last = space.complete or len(space.configurations) >= max_space
        poles = lanczos_poles(space.matrix, starts, steps, least=least, vectors=last and not space.complete)
        positions, weights, strongest_of = _merged(poles, state.energy, channel.sign)
        kept = weights > LEAST_WEIGHT * weights.sum()
        total, first = float(weights.sum()), float(weights @ positions)
        strongest = np.argsort(-weights)[:6]
        convergence.append(
            {
                "space": len(space.configurations),
                "total_weight": total,
                "first_moment": first,
                "strongest": [[float(positions[k]), float(weights[k])] for k in np.sort(strongest)],
            }
        )
        note(f"{channel.label}: {len(space.configurations):,} configurations")
    wanted_first = None if expected[1] is None else channel.sign * expected[1]
    moments: dict[str, Any] = {
        "total_weight": total,
        "total_weight_expected": expected[0],
        "total_weight_defect": total - expected[0],
        "first_moment": first,
        "first_moment_expected": wanted_first,
        "first_moment_defect": None if wanted_first is None else first - wanted_first,
    }
    if channel.double_commutator is not None:
        both: float | None = first
        if np.iscomplexobj(started.amplitudes) and np.iscomplexobj(state.amplitudes):
            turned = replace(channel, operators=tuple(o.adjoint() for o in channel.operators))
            other = _expected_moments(hamiltonian, applied(state, turned), state.energy)[1]
            both = None if other is None else 0.5 * (first + other)
        wanted = state.mean(channel.double_commutator).real
        moments |= {
            "f_sum": both,
            "f_sum_expected": wanted,
            "f_sum_defect": None if both is None else both - wanted,
        }
    return Spectrum(
        positions[kept],
        weights[kept],
        poles.residuals[strongest_of][kept],
        _corrections(state, hamiltonian, space, poles, channel.sign, strongest_of)[kept],
        poles.amplitudes[strongest_of][kept],
        moments,
        convergence,
        len(space.configurations),
        space.complete,
    )


def applied(state: KnownState, channel: Channel) -> Started:
    """(O_p - <O_p>)|psi> of a channel.

    Raises:
        InputError: All vanish.
    """
    parts = []
    for operator in channel.operators:
        keys, values = operator.applied(state.hamiltonian, state.configurations, state.amplitudes)
        if channel.changed is None:
            keys, values = _without_mean(state, keys, values)
        parts.append((keys, values))
    started = Started.of(parts)
    if not np.linalg.norm(started.amplitudes) > VANISHING:
        raise InputError(f"the operator {channel.label} vanishes on this state: it has no response")
    return started


def _without_mean(state, keys, values):
    joined = Started.of([(keys, values), (state.configurations, state.amplitudes)])
    image, psi = joined.amplitudes.T
    return joined.configurations, image - np.vdot(psi, image) * psi


def _expected_moments(hamiltonian, started: Started, energy):
    """<O+O>, and <O+ [H, O]> of an eigenstate of this energy, from O|psi> alone."""
    rows, values = started
    total = float(np.sum(np.abs(values) ** 2))
    if len(rows) > MOST_SUMMED:
        return total, None
    return total, float(np.vdot(values, hamiltonian.matrix(rows) @ values).real) - energy * total


def _corrections(state, hamiltonian, space, poles, sign, places) -> np.ndarray:
    """Corrections (K,) of the poles at some places, of strong ones near the ground state."""
    found = np.zeros(len(places))
    if space.complete and state.complete:
        return found
    own = 0.0
    if not state.complete:
        parts = state.configurations, state.amplitudes[:, None], np.array([state.energy])
        own = float(second_orders(state.hamiltonian, *parts)[0])
    if space.complete:
        return found - sign * own
    found[:] = np.nan
    weights = poles.weights[places]
    strong = np.flatnonzero((weights > LEAST_CORRECTED * weights.max()) & (poles.residuals[places] < SETTLED))
    chosen = strong[np.argsort(poles.energies[places][strong], kind="stable")[:MOST_CORRECTED]]
    if poles.vectors.shape[1]:
        which = places[chosen]
        parts = space.configurations, poles.vectors[:, which], poles.energies[which]
        found[chosen] = sign * (second_orders(hamiltonian, *parts) - own)
    return found


def _merged(poles, energy, sign) -> Sequence[np.ndarray]:
    """Positions and weights with poles of one energy as one, and the place of the strongest of them."""
    positions, weights = sign * (poles.energies - energy), poles.weights
    order = np.argsort(positions, kind="stable")
    groups = np.concatenate([[0], np.cumsum(np.diff(positions[order]) > SAME_POLE)])
    count = groups[-1] + 1
    total = np.zeros(count)
    np.add.at(total, groups, weights[order])
    strongest = np.zeros(count, np.int64)
    for place in np.argsort(weights[order], kind="stable"):
        strongest[groups[place]] = order[place]
    return positions[strongest], total, strongest
