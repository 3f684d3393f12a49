"""The Monte Carlo driver: sample, estimate, step, with smaller steps as the energy settles."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from nnbf.drivers.base import ConvergingDriver, static_field
from nnbf.drivers.monitor import Snapshot, pack_tree, unpack_tree
from nnbf.drivers.sampled_power import PowerChoice
from nnbf.optimize import StochasticReconfiguration
from nnbf.optimize.tangent import tree_axpy
from nnbf.states import SampledStep, sampled_step
from nnbf.states.markov_chains import change_power, set_power

PyTree = Any

#: Largest split R-hat at which chains agree (Gelman et al., Bayesian Data Analysis).
LARGEST_R_HAT = 1.1
#: Autocorrelation time, in samples, up to which short chains still count as agreeing.
LONGEST_MEMORY = 3.0
#: Standard errors of a difference above which the energy has risen.
SURE_RISE = 3.0
#: Part of the steps, the last ones, that parameters are averaged over.
AVERAGED = 0.1
#: A state that is seen through fewer distinct determinants than this may be stuck on them.
FEWEST_UNIQUE = 8

_NUMBERS = ("evaluations", "scale", "reductions", "energies", "errors", "r_hats")
_SEEN, _DOUBTFUL = "n_unique", "doubtful_reductions"


@dataclass(frozen=True)
class Remedies:
    """Advice about samples that cannot be trusted, in the words of the program that is used."""

    disagreement: str = "longer sweeps (sweep_size), more chains (n_chains), or tempering (n_temperatures)"
    """For chains that disagree."""
    few: str = "noise a larger value, sampling_power a smaller one, or more n_samples"
    """For few configurations that are seen."""


def largest_r_hat(chain_length: int) -> float:
    """Split R-hat up to which chains of so many samples agree.

    Of m samples with autocorrelation time tau the mean varies by tau/m of the variance: R-hat^2 is about
    (m - 1 + tau)/m for each half of a chain, which of a few samples says nothing about where the chains are.
    """
    half = max(1, chain_length // 2)
    return max(LARGEST_R_HAT, math.sqrt((half - 1 + LONGEST_MEMORY) / half))


@dataclass(frozen=True)
class StepSchedule:
    """Steps shrink each time that the energy has stopped falling; after the last time the run is done."""

    window: int = 20
    """Steps whose energies are averaged before two averages are compared."""
    factor: float = 0.3
    """Factor of the steps at each reduction."""
    reductions: int = 3
    """Reductions before the end."""
    tolerance: float = 2e-5
    """A window that gains less (Hartree), or less than ``significance`` standard errors, has settled."""
    significance: float = 2.0
    """Standard errors of a window's mean; smaller where a slow gain must not be taken for none."""
    patience: int = 1
    """Smaller reductions that one is made of where it is noise that hides a gain: each multiplies the steps
    by the root of this order of ``factor``, and divides the window by it. A gain that is too slow for the
    samples of one window is seen in a longer one, and steps fall about as one over their number."""


class MonteCarloDriver(ConvergingDriver):
    """Minimises the energy of a NetKet ``MCState`` with an optimiser of ``nnbf.optimize``.

    A NetKet driver: ``run(n_iter, out=loggers, callback=...)`` takes NetKet's loggers and callbacks.
    Repeated samples are merged and weighted, also for samplers of another power of ``|psi|`` than the
    square, which NetKet's own drivers do not take. The run ends by itself when steps have become
    small, the energy has settled, and the chains agree.
    """

    hamiltonian: Any = static_field()
    schedule: StepSchedule = static_field()
    remedies: Remedies = static_field()
    power_choice: PowerChoice | None = static_field()
    _found: SampledStep | None = static_field()
    _n_unique: int = static_field()
    _fewest_unique: int = static_field()
    _scale: float = static_field()
    _reductions: float = static_field()
    _doubtful_reductions: float = static_field()
    _energies: tuple[float, ...] = static_field()
    _errors: tuple[float, ...] = static_field()
    _r_hats: tuple[float, ...] = static_field()
    _step_norm: float = static_field()
    _evaluations: int = static_field()
    _average: PyTree = static_field()

    def __init__(
        self,
        state: nk.vqs.MCState,
        hamiltonian: Any,
        *,
        optimizer: Any = None,
        schedule: StepSchedule | None = None,
        n_reachable: int | None = None,
        remedies: Remedies | None = None,
        power_choice: PowerChoice | None = None,
    ):
        """Make a driver.

        Args:
            state: The state to optimise; any sampler.
            hamiltonian: The Hamiltonian, or an objective: the Hamiltonian with penalties.
            optimizer: An optimiser of ``nnbf.optimize`` that needs no line search (default stochastic
                reconfiguration with SPRING momentum).
            schedule: When steps shrink (default :class:`StepSchedule`).
            n_reachable: Determinants there are, where few: the run is not called converged while it
                sees fewer than these, or :data:`FEWEST_UNIQUE`.
            remedies: What doubts advise.
            power_choice: Changes the power of |psi| that is sampled; left out: it stays.

        Raises:
            ValueError: The optimiser searches a line: energies of samples are too noisy for that.
        """
        super().__init__(state, minimized_quantity_name="Energy")
        self.use(StochasticReconfiguration() if optimizer is None else optimizer)
        if self._configured.line_search:
            raise ValueError(
                f"{type(self._configured).__name__} needs exact energies: take SR or first order"
            )
        self.hamiltonian = hamiltonian
        self.schedule = StepSchedule() if schedule is None else schedule
        self.remedies = Remedies() if remedies is None else remedies
        self.power_choice = power_choice
        self._found = None
        self._n_unique = 0
        self._fewest_unique = FEWEST_UNIQUE if n_reachable is None else min(n_reachable, FEWEST_UNIQUE)
        self._scale = 1.0
        self._reductions = self._doubtful_reductions = 0.0
        self._energies = self._errors = self._r_hats = ()
        self._step_norm = 0.0
        self._evaluations = 0
        self._average = state.parameters

    @property
    def averaged(self) -> PyTree:
        """Mean of the parameters over about the last tenth of the steps, without most of their noise."""
        return self._average

    @property
    def is_done(self) -> bool:
        """True where the energy has settled at the smallest steps."""
        return self._reductions > self.schedule.reductions + 1e-9

    @property
    def converged(self) -> bool:
        """True where the energy has settled at the smallest steps, and the samples can be trusted."""
        return self.is_done and not self.doubts

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the samples of the last steps cannot be trusted, one line each."""
        found = []
        # One value fluctuates: the median of the last window counts.
        typical = float(np.median(self._r_hats)) if self._r_hats else np.nan
        most = largest_r_hat(self.state.chain_length)
        if typical > most:
            found.append(
                f"the chains disagree (split R-hat {typical:.2f} above {most:.2g}): give "
                f"{self.remedies.disagreement}"
            )
        n_unique = self._n_unique
        if n_unique < self._fewest_unique:
            found.append(
                f"distinct determinants among the samples: {n_unique}, of at least {self._fewest_unique} "
                f"to be expected; give {self.remedies.few}"
            )
        return tuple(found)

    @property
    def last(self) -> SampledStep | None:
        """Samples and estimates of the last step."""
        return self._found

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        found = self._found
        if found is None:
            raise RuntimeError("no step was made")
        stats = found.statistics
        acceptance = getattr(self.state.sampler_state, "acceptance", None)
        return {
            "step": int(self.step_count),
            "time_s": time.perf_counter() - self._started,
            "energy": float(stats.mean),
            "energy_kind": "vmc",
            "energy_error": float(stats.error_of_mean),
            "variance": float(stats.variance),
            "r_hat": float(stats.R_hat),
            "tau_corr": float(stats.tau_corr),
            "acceptance": None if acceptance is None else float(acceptance),
            "n_unique": len(found.samples.counts),
            "n_samples": int(found.samples.counts.sum()),
            "unseen": found.samples.unseen,
            "power": found.samples.power,
            "step_norm": float(self._step_norm),
            "step_scale": float(self._scale),
            "reductions": round(self._reductions, 2),
            "evaluations": int(self._evaluations),
        }

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on; see :class:`~nnbf.drivers.ResumableDriver`."""
        return {
            **self._packed(),
            "sampler": pack_tree(_raw_keys(self.state.sampler_state)),
            "average": pack_tree(self._average),
            **{name: _as_list(getattr(self, f"_{name}")) for name in (*_NUMBERS, _SEEN, _DOUBTFUL)},
            **({} if self.power_choice is None else {"power": self._power_snapshot()}),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot, bit by bit as the driver that it was taken from.

        Raises:
            ValueError: It is the snapshot of another network, sampler, optimiser or kind of driver.
        """
        state = self.state
        if "sampler" not in snapshot:
            raise ValueError("the snapshot is not that of a Monte Carlo driver")
        self._unpack(snapshot)
        if self.power_choice is not None:
            set_power(state, snapshot["power"]["sampled"])
            self.power_choice.restore(snapshot["power"])
        sampler = unpack_tree(snapshot["sampler"], like=_raw_keys(state.sampler_state))
        state.sampler_state = _wrapped_keys(sampler, like=state.sampler_state)
        state.reset()
        # Snapshots of earlier versions have no average.
        average = snapshot.get("average")
        self._average = state.parameters if average is None else unpack_tree(average, like=state.parameters)
        for name in _NUMBERS:
            value = snapshot[name]
            setattr(self, f"_{name}", tuple(value) if isinstance(value, list) else value)
        # Snapshots of earlier versions do not say; few determinants are then noticed at the next step.
        self._n_unique = snapshot.get(_SEEN, self._fewest_unique)
        self._doubtful_reductions = snapshot.get(_DOUBTFUL, 0.0)

    def compute_loss_and_update(self):
        """One step: sample, estimate, propose."""
        if self.power_choice is not None and self.power_choice.is_due:
            change_power(self.state, self.power_choice.choose())
        found = sampled_step(self.state, self.hamiltonian)
        self._found, self._n_unique = found, len(found.samples.counts)
        if self.power_choice is not None:
            self.power_choice.note(found.samples)
        self._evaluations += self._sampling_cost() + found.samples.evaluations + found.problem.size
        self._judge_last_step(found.statistics)
        proposal, self.optimizer_state = self._optimizer.propose(found.problem, self.optimizer_state)
        if not np.isfinite(proposal.predicted):
            raise FloatingPointError(f"step {self.step_count}: the proposed update is not finite")
        scale = self._scale
        self._step_norm = scale * float(np.linalg.norm(proposal.change))
        self._follow_schedule(found.statistics)
        return found.statistics, jax.tree.map(lambda leaf: scale * leaf, proposal.update)

    def update_parameters(self, dp: PyTree) -> None:
        """Add the update to the parameters, and these to their average."""
        super().update_parameters(dp)
        share = 1.0 / max(1.0, AVERAGED * (self.step_count + 1))
        self._average = tree_axpy(share, tree_axpy(-1.0, self._average, self.state.parameters), self._average)

    def _judge_last_step(self, statistics):
        """Let the optimiser adapt its steps, where it does, by whether the last one raised the energy."""
        if getattr(self._optimizer, "gap", None) is None or not self._energies:
            return
        rise = float(statistics.mean) - self._energies[-1]
        doubt = math.hypot(float(statistics.error_of_mean), self._errors[-1])
        judged = self._optimizer.after_rise if rise > SURE_RISE * doubt else self._optimizer.after_fall
        self.optimizer_state = judged(self.optimizer_state)

    def _power_snapshot(self):
        choice = {} if self.power_choice is None else self.power_choice.snapshot()
        return {"sampled": float(self.state.sampler.machine_pow), **choice}

    def _sampling_cost(self):
        """Evaluations of the network that one step's samples took."""
        state, sampler = self.state, self.state.sampler
        if sampler.is_exact:
            return getattr(sampler, "n_listed", state.hilbert.n_states if state.hilbert.is_indexable else 0)
        sweeps = state.chain_length + state.n_discard_per_chain
        replicas = getattr(sampler, "n_replicas", 1)
        return sampler.n_chains * replicas * sweeps * sampler.sweep_size

    def _follow_schedule(self, statistics):
        schedule = self.schedule
        self._r_hats = (*self._r_hats, float(statistics.R_hat))[-schedule.window :]
        window = round(schedule.window * schedule.factor**-self._doubtful_reductions)
        self._energies = (*self._energies, float(statistics.mean))[-2 * window :]
        self._errors = (*self._errors, float(statistics.error_of_mean))[-2 * window :]
        if len(self._energies) < 2 * window or self.is_done:
            return
        gain = np.mean(self._energies[:window]) - np.mean(self._energies[window:])
        noise = schedule.significance * np.sqrt(np.sum(np.square(self._errors))) / window
        if gain < max(schedule.tolerance, noise):
            is_sure = schedule.patience == 1 or noise <= schedule.tolerance
            part = 1.0 if is_sure else 1.0 / schedule.patience
            self._reductions += part
            self._doubtful_reductions += 0.0 if is_sure else part
            if not self.is_done:
                self._scale *= schedule.factor**part
            self._energies = self._errors = ()


def _is_key(leaf):
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _raw_keys(tree):
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _wrapped_keys(tree, like):
    return jax.tree.map(
        lambda leaf, old: (
            jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(old)) if _is_key(old) else leaf
        ),
        tree,
        like,
    )


def _as_list(value):
    return list(value) if isinstance(value, tuple) else value
