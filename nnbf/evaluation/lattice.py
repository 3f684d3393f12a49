r"""The energy of a lattice state from samples of a flatter distribution than |psi|^2.

Local energies are largest where psi is small, beside its nodes. Samples of |psi|^2 seldom meet such
configurations, and each then weighs much: few samples see too little of the variance. Samples of
:math:`q \propto |\psi|^p` with 1 <= p <= 2 meet them more often, and count :math:`w = |\psi|^{2-p}` each
(arXiv:2507.05352 does so for gradients):

.. math:: E = \frac{\langle w E_{loc} \rangle_q}{\langle w \rangle_q}, \qquad
    n \sigma_E^2 = \frac{\langle w^2 (E_{loc} - E)^2 \rangle_q}{\langle w \rangle_q^2}
    = \langle |\psi|^{2-p} (E_{loc} - E)^2 \rangle_2 \, \langle |\psi|^{p-2} \rangle_2 .

The last form is known for every p from samples of one: a first round chooses p, and is thrown away.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import netket as nk
import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import LatticeModel
from nnbf.evaluation.controlled import SampleMean
from nnbf.evaluation.evaluate import OnRound
from nnbf.evaluation.options import EvaluationOptions
from nnbf.operators import LatticeHamiltonian
from nnbf.states import lattice_samples
from nnbf.states.lattice_chains import change_power, lattice_sampler, settle

#: Powers to choose from. Below 1, weights leave few samples that count.
POWERS = (2.0, 1.8, 1.6, 1.4, 1.2, 1.0)
#: Power of the samples that the choice is made with.
PILOT_POWER = 1.6
#: Sweeps of all chains before samples count.
THERMALISATION = 40
#: Samples of every chain in one call of the sampler, where nothing else is said: one length is compiled.
STRIDE = 8
#: Fewer chains would not tell how much they differ.
LEAST_CHAINS = 16
#: Samples before an error bar is small enough to stop at.
LEAST_SAMPLES = 4096
_LONGEST_ROUND = 10.0  # seconds: a request to stop is heard


@dataclass(frozen=True)
class LatticeEvaluation:
    """What sampling a trained lattice state gave. Energies in units of t, of kind ``vmc``."""

    energy: float
    """Mean of the local energy over |psi|^2."""
    error: float
    """Its standard error: autocorrelation, differences of the chains and weights are in it."""
    variance: float
    """<|E_loc - E|^2>."""
    variance_error: float
    """Its standard error."""
    v_score: float
    """N variance / (E - E_inf)^2 (Wu et al., Science 386, 296 (2024))."""
    r_hat: float | None
    """Split R-hat over the chains."""
    tau: float | None
    """Autocorrelation time in samples."""
    acceptance: float
    """Share of accepted moves."""
    n_samples: int
    """Samples that were averaged."""
    n_effective: float
    """(sum w)^2 / sum w^2: as many samples of |psi|^2 have weights of the same worth."""
    n_unique: int
    """Distinct configurations among them."""
    power: float
    """Power of |psi| that was sampled."""
    chains: int
    """Metropolis chains."""
    sweep_size: int
    """Proposals between two samples of a chain."""
    status: str
    """precision, time_limit, samples or interrupted."""
    wall_time_s: float
    """Seconds, preparations included."""
    rounds: tuple[dict[str, Any], ...]
    """One row for every round."""


@dataclass(frozen=True, eq=False)
class LatticeDraws:
    """Samples of |psi|^p with their local energies, (chains, length)."""

    local_energies: np.ndarray
    """(chains, length) complex, units of t."""
    log_abs: np.ndarray
    """(chains, length) log|psi|."""
    packed: np.ndarray
    """(chains, length, bytes) uint8: occupations as bits."""
    n_modes: int
    """Modes of a configuration."""
    power: float
    """p."""

    @property
    def weights(self) -> np.ndarray:
        """|psi|^(2 - p), (chains, length), mean 1."""
        weights = np.exp((2.0 - self.power) * (self.log_abs - self.log_abs.max()))
        return weights / weights.mean()

    def thinned(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Occupations (chains, length', modes) int8 of at most so many samples, evenly spaced, and weights.

        Of every chain at least one is kept.
        """
        every = max(1, -(-self.log_abs.size // most))
        bits = np.unpackbits(self.packed[:, ::every], axis=-1, count=self.n_modes)
        return bits.astype(np.int8), self.weights[:, ::every]

    def count_distinct(self) -> int:
        """Distinct configurations."""
        return len(np.unique(self.packed.reshape(-1, self.packed.shape[-1]), axis=0))


class LatticeChains:
    """Metropolis chains of |psi|^p."""

    def __init__(
        self,
        model: LatticeModel,
        ansatz: Any,
        variables: Any,
        *,
        chains: int = 64,
        sweep_size: int | None = None,
        power: float = 2.0,
        stride: int = STRIDE,
        seed: int = 0,
    ):
        """Start chains at ordered configurations and random moves away from them, and thermalise them.

        Args:
            model: The lattice model.
            ansatz: Flax module: occupations (n, modes) -> complex log psi (n,).
            variables: Its variables.
            chains: Number of chains.
            sweep_size: Proposals between two samples of a chain; default one for each particle, at least 8.
            power: p.
            stride: Samples of every chain in one draw.
            seed: Seed of starting points and moves.

        Raises:
            InputError: Fewer than 16 chains.
        """
        if chains < LEAST_CHAINS:
            raise InputError(f"chains must be at least {LEAST_CHAINS} on lattices, got {chains}")
        self.chains = chains
        self._hamiltonian = LatticeHamiltonian(model)
        self._state = nk.vqs.MCState(
            lattice_sampler(model, ansatz, chains, sweep_size=sweep_size, power=power),
            ansatz,
            n_samples=chains * stride,
            n_discard_per_chain=0,
            variables=variables,
            sampler_seed=seed,
        )
        self._draws: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._acceptances: list[float] = []
        settle(self._state, THERMALISATION)

    @property
    def power(self) -> float:
        """Power of |psi| that is sampled."""
        return float(self._state.sampler.machine_pow)

    @property
    def sweep_size(self) -> int:
        """Proposals between two samples of a chain."""
        return self._state.sampler.sweep_size

    @property
    def acceptance(self) -> float:
        """Share of accepted moves among those of the samples that count."""
        return float(np.mean(self._acceptances))

    def draw(self) -> None:
        """Let every chain make some samples more.

        Raises:
            FloatingPointError: Local energies are not finite.
        """
        self._state.reset()
        found = lattice_samples(self._state, self._hamiltonian)
        place, shape = found.of_sample, found.shape
        packed = np.packbits(found.occupations.astype(np.uint8), axis=1)
        self._draws.append(
            (
                found.local_energies[place].reshape(shape),
                found.log_abs[place].reshape(shape),
                packed[place].reshape(*shape, -1),
            )
        )
        self._acceptances.append(float(self._state.sampler_state.acceptance))

    def collected(self) -> LatticeDraws:
        """All samples that count."""
        # The parts are joined once: many small ones would be copied at every look.
        local, log_abs, packed = (np.concatenate(p, axis=1) for p in zip(*self._draws, strict=True))
        self._draws = [(local, log_abs, packed)]
        return LatticeDraws(local, log_abs, packed, self._hamiltonian.model.n_modes, self.power)

    def change_power(self, power: float) -> None:
        """Forget the samples, and go on with the chains at another power."""
        self._draws, self._acceptances = [], []
        change_power(self._state, power)


def evaluate_lattice_state(
    model: LatticeModel,
    ansatz: Any,
    variables: Any,
    options: EvaluationOptions | None = None,
    *,
    power: float | None = None,
    sweep_size: int | None = None,
    stride: int = STRIDE,
    relative: bool = False,
    started: float | None = None,
    note: Callable[[str], None] = lambda what: None,
    on_round: OnRound | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[LatticeEvaluation, LatticeDraws]:
    """Sample a lattice state until its error bar is small enough, time is up or a stop is asked for.

    Args:
        model: The lattice model.
        ansatz: Flax module: occupations (n, modes) -> complex log psi (n,).
        variables: Its variables.
        options: ``precision`` (units of t), ``time_limit``, ``samples``, ``seed``, ``chains``.
        power: Power of |psi| that is sampled; left out: the best one for a first round of samples.
        sweep_size: Proposals between two samples of a chain.
        stride: Samples of every chain in one call of the sampler.
        relative: The precision is a share of the energy, where that is above t.
        started: When the time limit began to run (``time.perf_counter()``); default now.
        note: Told what is being done.
        on_round: Called with a row after every round.
        should_stop: Asked after every round.

    Raises:
        InputError: Fewer than 16 chains.
        FloatingPointError: Local energies are not finite.
    """
    options = EvaluationOptions() if options is None else options
    started = time.perf_counter() if started is None else started
    elapsed = lambda: time.perf_counter() - started  # noqa: E731
    note("thermalising the chains")
    chains = LatticeChains(
        model,
        ansatz,
        variables,
        chains=options.chains,
        sweep_size=sweep_size,
        power=PILOT_POWER if power is None else power,
        stride=stride,
        seed=options.seed,
    )
    if power is None:
        chains.draw()
        pilot = chains.collected()
        chains.change_power(best_power(pilot))
    note("sampling")
    rounds: list[dict[str, Any]] = []
    begun, status = elapsed(), ""
    n_draws, wanted = 0, 1
    while not status:
        for _ in range(wanted):
            chains.draw()
        n_draws += wanted
        draws = chains.collected()
        energy, variance = lattice_means(draws)
        rounds.append(
            {
                "round": len(rounds) + 1,
                "time_s": elapsed(),
                "n_samples": draws.log_abs.size,
                "energy": energy.mean,
                "error": energy.error,
                "variance": variance.mean,
                "r_hat": energy.r_hat,
                "tau": energy.tau,
                "acceptance": chains.acceptance,
            }
        )
        if on_round is not None:
            on_round(rounds[-1])
        n_samples = draws.log_abs.size
        precision = options.precision * (max(1.0, abs(energy.mean)) if relative else 1.0)
        believed = n_samples >= min(LEAST_SAMPLES, options.samples or LEAST_SAMPLES)
        if believed and energy.error <= precision:
            status = "precision"
        elif options.samples is not None and n_samples >= options.samples:
            status = "samples"
        elif elapsed() >= options.time_limit:
            status = "time_limit"
        elif should_stop is not None and should_stop():
            status = "interrupted"
        seconds = (elapsed() - begun) / n_draws
        excess = energy.error / precision
        wanted = _next_round(n_draws, excess, options, seconds, elapsed(), n_samples // n_draws)
    weights, distance = draws.weights, energy.mean - model.infinite_temperature_energy
    found = LatticeEvaluation(
        energy=energy.mean,
        error=energy.error,
        variance=variance.mean,
        variance_error=variance.error,
        v_score=model.n_particles * variance.mean / distance**2 if distance else 0.0,
        r_hat=energy.r_hat,
        tau=energy.tau,
        acceptance=chains.acceptance,
        n_samples=draws.log_abs.size,
        n_effective=float(weights.sum() ** 2 / np.sum(weights**2)),
        n_unique=draws.count_distinct(),
        power=chains.power,
        chains=chains.chains,
        sweep_size=chains.sweep_size,
        status=status,
        wall_time_s=elapsed(),
        rounds=tuple(rounds),
    )
    return found, draws


def lattice_means(draws: LatticeDraws) -> tuple[SampleMean, SampleMean]:
    """Energy and variance of samples.

    Both are ratios of means over the samples. Their errors are those of the linearised ratios, to which a
    sample contributes w (x - <x>), also through the differences between chains.
    """
    weights, local = draws.weights, draws.local_energies
    energy = float(np.mean(weights * local.real))
    squared = np.abs(local - energy) ** 2
    variance = float(np.mean(weights * squared))
    return (
        chain_mean(energy + weights * (local.real - energy)),
        chain_mean(variance + weights * (squared - variance)),
    )


def chain_mean(values: np.ndarray) -> SampleMean:
    """Mean of samples (chains, length), its error from the means of whole chains and of their halves.

    Whatever memory chains have, and whatever keeps them apart, is in the spread of their means; NetKet's
    statistics do the same from 32 chains on, and compile for every length. R-hat is that of split chains
    (Gelman et al., Bayesian Data Analysis).
    """
    chains, length = values.shape
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    plain = spread / np.sqrt(values.size)
    # Rounding of equal numbers is no fluctuation.
    if length < 2 or spread <= 1e-14 * max(1.0, abs(mean)):
        return SampleMean(mean, plain)
    half = length // 2
    halves = values[:, : 2 * half].reshape(2 * chains, half)
    of_chains, of_halves = values.mean(axis=1), halves.mean(axis=1)
    errors = [float(means.std(ddof=1) / np.sqrt(len(means))) for means in (of_chains, of_halves)]
    within = float(halves.var(axis=1, ddof=1).mean()) if half > 1 else 0.0
    r_hat = np.sqrt((half - 1) / half + of_halves.var(ddof=1) / within) if within > 0 else None
    tau = 0.5 * max(0.0, length * float(of_chains.var(ddof=1)) / spread**2 - 1.0)
    return SampleMean(mean, max(plain, *errors), None if r_hat is None else float(r_hat), tau)


def best_power(draws: LatticeDraws) -> float:
    """The power of |psi| for which the error of as many samples would be smallest; see the module."""
    log_abs = (draws.log_abs - draws.log_abs.max()).ravel()
    weights, local = draws.weights.ravel(), draws.local_energies.real.ravel()
    squared = (local - np.mean(weights * local)) ** 2

    def spread(power):
        ratio = np.exp((2.0 - power) * log_abs)
        return np.mean(weights * ratio * squared) * np.mean(weights / ratio)

    return min(POWERS, key=spread)


def _next_round(n_draws, excess, options, seconds, elapsed, per_draw):
    """Draws that should make an error smaller by ``excess``, as far as time and number of samples allow."""
    missing = n_draws * max(1.1 * excess**2 - 1.0, 0.1)
    missing = max(missing, LEAST_SAMPLES / per_draw - n_draws)
    most = min(n_draws, max(_LONGEST_ROUND, 0.1 * elapsed) / seconds)
    most = min(most, (options.time_limit - elapsed) / seconds)
    if options.samples is not None:
        most = min(most, -(-options.samples // per_draw) - n_draws)
    return int(np.clip(np.ceil(missing), 1, max(most, 1)))
