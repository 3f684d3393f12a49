r"""The energy of a trained state by sampling until it is known as well as wanted.

Local energies are largest where psi is small, beside its nodes. Samples of |psi|^2 seldom meet such
configurations, and each then weighs much: few samples see too little of the variance. Samples of
:math:`q \propto |\psi|^p` with 1 <= p <= 2 meet them more often, and count :math:`w = |\psi|^{2-p}` each
(arXiv:2507.05352 does so for gradients):

.. math:: E = \frac{\langle w E_{loc} \rangle_q}{\langle w \rangle_q}, \qquad
    n \sigma_E^2 = \frac{\langle w^2 (E_{loc} - E)^2 \rangle_q}{\langle w \rangle_q^2}
    = \langle |\psi|^{2-p} (E_{loc} - E)^2 \rangle_2 \, \langle |\psi|^{p-2} \rangle_2 .

The last form is known for every p from samples of one. Near a node, what a sample contributes to E has the
tail of a Pareto distribution of shape (p - 1) / (p + 1), to the variance of shape p / (p + 1), a little
less for complex psi: above 1/2 there is no error bar. Of powers that are almost as good, the lowest is
taken. Where there are control variates, quantities t of mean zero, :math:`x - \sum_k c_k t_k` has the mean
of x for any fixed c, and less noise for good ones (Hammersley and Handscomb, Monte Carlo Methods, chapter
5). A first round chooses p and c, and is thrown away.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnbf._processes import agreed
from nnbf.estimate import Estimate, linearised, v_score
from nnbf.evaluation.samples import EvaluationOptions, Samples, SampleSource

#: Powers to choose from. Below 1, weights leave few samples that count.
POWERS = (2.0, 1.8, 1.6, 1.4, 1.2, 1.0)
#: Relative excess of samples at which a lower power is preferred: its samples have lighter tails.
DEARER = 0.2
#: Power of the samples that the choice is made with: a low one, which meets what matters for the others.
PILOT_POWER = 1.2
#: Samples before an error bar is small enough to stop at.
LEAST_SAMPLES = 4096
#: Samples outside what is summed exactly before the error bar of chains is believed ...
LEAST_OUTSIDE = 400
#: ... unless there are this many samples altogether.
MOST_DOUBTED = 262_144
_LONGEST_ROUND = 10.0  # seconds: a request to stop is heard

OnRound = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Evaluation:
    """Energy of a trained state from samples, with the quality of these. In Hartree or t."""

    energy: Estimate
    """Mean of the local energy over |psi|^2, of kind ``vmc``."""
    variance: Estimate
    """<|E_loc - E|^2>."""
    v_score: float
    """N variance / (E - E_inf)^2 (Wu et al., Science 386, 296 (2024))."""
    n_samples: int
    """Samples that were averaged."""
    n_effective: float
    """(sum w)^2 / sum w^2: as many samples of |psi|^2 have weights of the same worth."""
    n_unique: int
    """Distinct configurations among them."""
    acceptance: float | None
    """Share of accepted moves of the chains; None without chains."""
    sampler: str
    """sector or metropolis."""
    status: str
    """precision, time_limit, samples or interrupted."""
    wall_time_s: float
    """Seconds, preparations included."""
    rounds: tuple[dict[str, Any], ...]
    """One row for every round."""
    n_large: int | None = None
    """Determinants that were summed exactly; None where nothing was."""
    outside: float | None = None
    """Weight of all others."""
    power: float | None = None
    """Power of |psi| that was sampled; None for another distribution."""
    chains: int | None = None
    """Metropolis chains; None for independent samples."""
    sweep_size: int | None = None
    """Proposals between two samples of a chain; None without chains."""

    @property
    def plain_samples(self) -> float:
        """Independent samples of |psi|^2 that a plain mean of E_loc would need for the same error."""
        return self.variance.value / self.energy.error**2 if self.energy.error > 0 else np.inf

    def record(self) -> dict[str, Any]:
        """Everything but the rounds as plain numbers (for JSON)."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "rounds"}
        for name in ("n_large", "outside", "power", "chains", "sweep_size"):
            if own[name] is None:
                del own[name]
        return own | {
            "energy": self.energy.value,
            "error": self.energy.error,
            "variance": self.variance.value,
            "variance_error": self.variance.error,
            "r_hat": self.energy.r_hat,
            "tau": self.energy.tau,
        }


def sample_energy(
    source: SampleSource,
    options: EvaluationOptions | None = None,
    *,
    started: float | None = None,
    on_round: OnRound | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Evaluation, Samples | None]:
    """Sample until the error bar is small enough, time is up or a stop is asked for.

    Args:
        source: Draws samples.
        options: Precision and limits.
        started: When the time limit began to run (``time.perf_counter()``); default now.
        on_round: Called with a row after every round.
        should_stop: Asked after every round.

    Returns:
        The evaluation, and the samples that were averaged (None where everything was summed exactly).

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    options = EvaluationOptions() if options is None else options
    started = time.perf_counter() if started is None else started
    elapsed = lambda: agreed(time.perf_counter() - started)  # noqa: E731
    if source.exact is not None:
        mean, second = source.exact
        energy, variance = Estimate(mean, kind="vmc"), Estimate(second - mean**2)
        nothing = {"n_samples": 0, "n_effective": 0.0, "n_unique": 0, "outside": 0.0, "rounds": ()}
        return _evaluation(source, energy, variance, "precision", elapsed(), **nothing), None
    coefficients = _pilot(source, options)
    begun = elapsed()
    drawn: Samples | None = None
    rounds: list[dict[str, Any]] = []
    wanted, status = source.granule, ""
    while not status:
        new = _controlled(source.draw(wanted), coefficients)
        drawn = new if drawn is None else Samples.joined([drawn, new])
        energy, variance = means(drawn)
        outside = None if drawn.outside is None else float(np.mean(drawn.weights * drawn.outside))
        rounds.append(_row(source, len(rounds) + 1, elapsed(), energy, variance, outside))
        if on_round is not None:
            on_round(rounds[-1])
        n_samples = drawn.energy.size
        total = source.reference + energy.value
        precision = options.precision * (max(1.0, abs(total)) if options.relative else 1.0)
        if energy.error <= precision and _trustworthy(drawn, options):
            status = "precision"
        elif options.samples is not None and n_samples >= options.samples:
            status = "samples"
        elif elapsed() >= options.time_limit:
            status = "time_limit"
        elif agreed(should_stop is not None and should_stop()):
            status = "interrupted"
        seconds = (elapsed() - begun) / n_samples
        wanted = _next_round(n_samples, energy.error / precision, options, seconds, elapsed())
    assert drawn is not None
    found = _evaluation(
        source,
        energy,
        variance,
        status,
        elapsed(),
        n_samples=drawn.energy.size,
        n_effective=float(drawn.weights.sum() ** 2 / np.sum(drawn.weights**2)),
        n_unique=source.n_unique(drawn),
        rounds=tuple(rounds),
        outside=outside,
    )
    return found, drawn


def means(drawn: Samples) -> tuple[Estimate, Estimate]:
    """Energy, relative to E_0, and variance of samples.

    Both are ratios of means over the samples. Their errors are those of the linearised ratios, to which a
    sample contributes w (x - <x>), also through the differences between chains. Of peaked states what
    configurations contribute that were drawn once is added in quadrature: as much may be due to those that
    were not drawn at all, which the spread of the samples does not know of.
    """
    weights, independent = drawn.weights, drawn.independent
    energy, of_energy = linearised(drawn.energy, weights)
    second, of_second = linearised(drawn.second, weights)
    variance = second - energy**2
    estimate = Estimate.of_chains(energy + of_energy, independent=independent, kind="vmc")
    if drawn.peaked:
        rare = float(np.sum(of_energy[drawn.drawn_once])) / of_energy.size
        estimate = replace(estimate, error=float(np.hypot(estimate.error, rare)))
    return (
        estimate,
        Estimate.of_chains(variance + of_second - 2.0 * energy * of_energy, independent=independent),
    )


def best_power(drawn: Samples) -> float:
    """The lowest power of |psi| that needs hardly more samples than the best one; see the module.

    Where nothing fluctuates, all the samples may be of what is summed exactly: then the lowest, too.
    """
    assert drawn.log_abs is not None
    shares = drawn.weights.ravel() / drawn.energy.size
    needed = spreads(shares, drawn.log_abs.ravel(), drawn.energy.ravel())
    return min(np.array(POWERS)[needed <= (1.0 + DEARER) * needed.min()].tolist())


def spreads(shares: np.ndarray, log_abs: np.ndarray, local: np.ndarray) -> np.ndarray:
    """N sigma_E^2 for samples of each of :data:`POWERS`, from samples of any power; see the module.

    Args:
        shares: (n,): what each sample counts in averages over |psi|^2; their sum is 1.
        log_abs: (n,) log|psi|.
        local: (n,) local energies.
    """
    squared = np.abs(local - shares @ local) ** 2
    some = shares > 0
    shares, squared, logs = shares[some], squared[some], log_abs[some] - log_abs[some].max()
    ratios = [np.exp((2.0 - power) * logs) for power in POWERS]
    return np.array([(shares * ratio) @ squared * (shares @ (1.0 / ratio)) for ratio in ratios])


def control_coefficients(values: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Least-squares coefficients (k,) that make ``values - controls @ c`` fluctuate least.

    Args:
        values: Samples x, any shape.
        controls: Samples of the control variates, the same shape and (k,) more.
    """
    columns = controls.reshape(values.size, controls.shape[-1])
    if 0 in columns.shape or len(columns) < 2:
        return np.zeros(columns.shape[1])
    x = values.reshape(-1)
    centred = columns - columns.mean(axis=0)
    scale = np.sqrt(np.mean(centred**2, axis=0))
    scale[scale == 0] = np.inf
    found, *_ = np.linalg.lstsq(centred / scale, x - x.mean(), rcond=1e-8)
    return found / scale


def _pilot(source, options):
    """Coefficients of the control variates, chosen with the power of |psi| from samples that do not count."""
    chosen = source.power is not None and options.power is None
    pilot = source.draw(source.granule)
    if chosen:
        source.change_power(best_power(pilot))
    if pilot.energy_controls is None:
        return None
    return (
        control_coefficients(pilot.energy, pilot.energy_controls),
        control_coefficients(pilot.second, pilot.second_controls),
    )


def _controlled(drawn, coefficients):
    if coefficients is None:
        return drawn
    of_energy, of_second = coefficients
    return replace(
        drawn,
        energy=drawn.energy - drawn.energy_controls @ of_energy,
        second=drawn.second - drawn.second_controls @ of_second,
        energy_controls=None,
        second_controls=None,
    )


def _trustworthy(drawn, options):
    """True where samples are many enough for their spread to mean something.

    Chains may spend most of their time in what is summed exactly: what little they see of the rest may miss
    its tails.
    """
    n_samples = drawn.energy.size
    if n_samples < min(LEAST_SAMPLES, options.samples or LEAST_SAMPLES):
        return False
    rare = drawn.outside is not None and np.count_nonzero(drawn.outside) < LEAST_OUTSIDE
    return drawn.independent or not rare or n_samples >= MOST_DOUBTED


def _row(source, number, seconds, energy, variance, outside):
    row = {
        "round": number,
        "time_s": seconds,
        "n_samples": energy.n_samples,
        "energy": source.reference + energy.value,
        "error": energy.error,
        "variance": variance.value,
        "r_hat": energy.r_hat,
        "tau": energy.tau,
        "acceptance": source.acceptance,
    }
    return row if outside is None else row | {"outside": outside}


def _next_round(done, excess, options, seconds, elapsed):
    """Samples that should make an error smaller by ``excess``, as far as time and their number allow."""
    missing = max(done * max(1.1 * excess**2 - 1.0, 0.1), LEAST_SAMPLES - done)
    most = min(done, max(_LONGEST_ROUND, 0.1 * elapsed) / seconds, (options.time_limit - elapsed) / seconds)
    if options.samples is not None:
        most = min(most, options.samples - done)
    return int(np.ceil(np.clip(missing, 1.0, max(most, 1.0))))


def _evaluation(source, energy, variance, status, seconds, **more):
    variance = replace(variance, value=max(variance.value, 0.0), unit=f"{source.unit}^2")
    total = source.reference + energy.value
    return Evaluation(
        energy=replace(energy, value=total, unit=source.unit, upper_bound=True, variance=variance.value),
        variance=variance,
        v_score=v_score(source.n_particles, variance.value, total, source.infinite_temperature),
        acceptance=source.acceptance,
        sampler=source.method,
        status=status,
        wall_time_s=seconds,
        n_large=source.n_large,
        power=source.power,
        chains=source.chains,
        sweep_size=source.sweep_size,
        **more,
    )
