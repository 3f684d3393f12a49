"""The energy of a trained state by sampling until it is known as well as wanted."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnbf.evaluation.controlled import coefficients, sample_mean
from nnbf.evaluation.draws import Draw, SampleSource
from nnbf.evaluation.options import EvaluationOptions

PILOT = 2048
"""Samples that only choose the coefficients of the control variates."""
FIRST = 4096
"""Samples of the first round."""
LARGEST_ROUND = 65536
"""Most samples of a round."""
LEAST_OUTSIDE = 400
"""Samples of chains outside L before their error bar is believed ..."""
MOST_DOUBTED = 262144
"""... unless there are this many samples altogether."""


@dataclass(frozen=True)
class Evaluation:
    """What sampling a trained state gave. Energies in Hartree."""

    energy: float
    """Mean of the local energy over |psi|^2 of the whole sector."""
    error: float
    """Its standard error; autocorrelation included."""
    variance: float
    """<|E_loc - E|^2>, Hartree^2."""
    variance_error: float
    """Its standard error."""
    v_score: float
    """N variance / (E - E_inf)^2 (Wu et al., Science 386, 296 (2024))."""
    r_hat: float | None
    """Split R-hat over the chains."""
    tau: float | None
    """Autocorrelation time in samples; 0 for independent ones."""
    acceptance: float | None
    """Share of accepted moves of the chains; None without chains."""
    n_samples: int
    """Samples that were averaged."""
    n_unique: int
    """Distinct determinants among all samples, those of the pilot round included."""
    n_large: int
    """Determinants that were summed exactly."""
    outside: float
    """Weight of all others."""
    sampler: str
    """sector or metropolis."""
    status: str
    """precision, time_limit, samples or interrupted."""
    wall_time_s: float
    """Seconds, preparations included."""
    rounds: tuple[dict[str, Any], ...]
    """One row for every round."""

    @property
    def plain_samples(self) -> float:
        """Independent samples of |psi|^2 that a plain mean of E_loc would need for the same error."""
        return self.variance / self.error**2 if self.error > 0 else np.inf


OnRound = Callable[[dict[str, Any]], None]


def sample_energy(
    source: SampleSource,
    options: EvaluationOptions,
    *,
    n_electrons: int,
    infinite_temperature: float,
    started: float | None = None,
    on_round: OnRound | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """Sample until the error bar is small enough, time is up or a stop is asked for.

    The first samples only choose coefficients of control variates; the mean of the others is unbiased.

    Args:
        source: Draws samples.
        options: Precision and limits.
        n_electrons: Electrons, for the V-score.
        infinite_temperature: E_inf, for the V-score.
        started: When the time limit began to run (``time.perf_counter()``); default now.
        on_round: Called with a row after every round.
        should_stop: Asked after every round.
    """
    started = time.perf_counter() if started is None else started
    elapsed = lambda: time.perf_counter() - started  # noqa: E731
    facts = {"sampler": source.method, "n_large": source.n_large}
    if source.exact is not None:
        energy, squared = source.exact
        return _evaluation(
            source, facts, (energy, 0.0), (squared, 0.0), None, None, 0, 0.0, "precision", elapsed(), (),
            n_electrons, infinite_temperature,
        )  # fmt: skip
    pilot = source.draw(PILOT)
    c_energy = coefficients(pilot.energy, pilot.energy_controls)
    c_second = coefficients(pilot.second, pilot.second_controls)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    rounds: list[dict[str, Any]] = []
    wanted, status = min(FIRST, options.samples or FIRST), ""
    while not status:
        parts.append(_controlled(source.draw(wanted), c_energy, c_second))
        energies, seconds, outside = (np.concatenate([part[k] for part in parts], axis=1) for k in range(3))
        mean = sample_mean(energies, independent=source.independent)
        second = sample_mean(seconds, independent=source.independent)
        rounds.append(
            {
                "round": len(rounds) + 1,
                "time_s": elapsed(),
                "n_samples": energies.size,
                "n_unique": source.n_unique,
                "energy": source.reference + mean.mean,
                "error": mean.error,
                "variance": second.mean - mean.mean**2,
                "r_hat": mean.r_hat,
                "tau": mean.tau,
                "acceptance": source.acceptance,
                "outside": float(np.mean(outside)),
            }
        )
        if on_round is not None:
            on_round(rounds[-1])
        if mean.error <= options.precision and _trustworthy(source, energies.size, float(np.mean(outside))):
            status = "precision"
        elif elapsed() > options.time_limit:
            status = "time_limit"
        elif options.samples is not None and energies.size >= options.samples:
            status = "samples"
        elif should_stop is not None and should_stop():
            status = "interrupted"
        wanted = _next_round(energies.size, mean.error, options, elapsed(), rounds)
    return _evaluation(
        source, facts, (mean.mean, mean.error), (second.mean, second.error), mean.r_hat, mean.tau,
        energies.size, float(np.mean(outside)), status, elapsed(), tuple(rounds), n_electrons,
        infinite_temperature,
    )  # fmt: skip


def _trustworthy(source, n_samples, outside):
    """Whether samples are many enough for their spread to mean something.

    Chains spend most of their time in L: what little they see of the rest may miss its tails.
    """
    return source.independent or n_samples >= MOST_DOUBTED or outside * n_samples >= LEAST_OUTSIDE


def _controlled(draw: Draw, c_energy, c_second):
    return (
        draw.energy - draw.energy_controls @ c_energy,
        draw.second - draw.second_controls @ c_second,
        draw.outside,
    )


def _next_round(done, error, options, elapsed, rounds):
    """Samples that should reach the precision, within what the time allows."""
    missing = done * max((error / options.precision) ** 2 * 1.1 - 1.0, 0.5)
    before = rounds[-2]["time_s"] if len(rounds) > 1 else None
    most = float(LARGEST_ROUND)
    if before is not None:
        latest = done - rounds[-2]["n_samples"]
        rate = latest / max(elapsed - before, 1e-6)
        most = min(most, max(rate * (options.time_limit - elapsed), 1024.0))
        # Often enough that a request to stop is heard within some seconds.
        most = min(most, max(10.0 * rate, 1024.0))
    else:
        most = min(most, 2.0 * FIRST)
    if options.samples is not None:
        most = min(most, max(options.samples - done, 1.0))
    return int(np.clip(missing, min(1024, most), most))


def _evaluation(
    source, facts, energy, second, r_hat, tau, n_samples, outside, status, seconds, rounds, n_electrons, e_inf
):
    total = source.reference + energy[0]
    variance = max(second[0] - energy[0] ** 2, 0.0)
    spread = total - e_inf
    return Evaluation(
        energy=total,
        error=energy[1],
        variance=variance,
        variance_error=float(np.hypot(second[1], 2.0 * energy[0] * energy[1])),
        v_score=n_electrons * variance / spread**2 if spread else 0.0,
        r_hat=r_hat,
        tau=tau,
        acceptance=source.acceptance,
        n_samples=n_samples,
        n_unique=source.n_unique,
        outside=outside,
        status=status,
        wall_time_s=seconds,
        rounds=rounds,
        **facts,
    )
