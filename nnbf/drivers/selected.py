"""The selected-space driver: optimise on V, grow V, until the energy has settled."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import netket as nk
import numpy as np

from nnbf.determinants import connected_space
from nnbf.drivers.base import ExactDriver, static_field
from nnbf.drivers.growth import Growth, TailTraining, rank_connected
from nnbf.drivers.line_search import search_line
from nnbf.drivers.snapshot import Snapshot, pack_tree, unpack_tree
from nnbf.optimize import RayleighGaussNewton
from nnbf.states import ComplementCoupling, SpaceState, extended_state

PyTree = Any

#: Numbers that a driver carries from step to step, as attributes with an underscore.
_FIELDS = (
    "second_order",
    "n_connected",
    "stage",
    "final",
    "calm",
    "last_change",
    "tail_done",
    "fraction",
    "step_norm",
    "iterations",
    "before_growth",
)


class SelectedSpaceDriver(ExactDriver):
    """Minimises the energy of a :class:`~nnbf.states.SpaceState` while its space grows.

    Where the state has a spin penalty, that is minimised with the energy, and rows have the energy alone.

    A NetKet driver: ``run(n_iter, out=loggers, callback=...)`` takes NetKet's loggers and callbacks. A
    step evaluates the energy on V, lets the optimiser propose a change of the parameters, shortens it
    until the energy falls (optimisers with a line search), and applies it. Between steps V grows as
    ``growth`` says. The run ends by itself when V is final and the energy has settled.
    """

    growth: Growth = static_field()
    _energy_tolerance: float = static_field()
    _variance_tolerance: float = static_field()
    _patience: int = static_field()
    _second_order: float | None = static_field()
    _n_connected: int | None = static_field()
    _stage: int = static_field()
    _final: bool = static_field()
    _calm: int = static_field()
    tail: TailTraining = static_field()
    _window: int = static_field()
    _truncated: bool = static_field()
    _coupling: ComplementCoupling | None = static_field()
    _energies: tuple[float, ...] = static_field()
    _tail_done: int = static_field()
    _outside: Any = static_field()
    _outside_amplitudes: Any = static_field()
    _rng: Any = static_field()
    _last_change: float = static_field()
    _fraction: float = static_field()
    _step_norm: float = static_field()
    _iterations: int = static_field()
    _grown_from: dict[str, Any] | None = static_field()
    _chooses_anew: bool = static_field()
    _before_growth: Snapshot | None = static_field()

    def __init__(
        self,
        state: SpaceState,
        *,
        optimizer: Any = None,
        growth: Growth | None = None,
        tail: TailTraining | None = None,
        energy_tolerance: float = 1e-6,
        variance_tolerance: float = 1e-4,
        patience: int | None = None,
        truncated: bool = True,
        chooses_anew: bool = False,
    ):
        """Make a driver.

        Args:
            state: The state to optimise.
            optimizer: An optimiser of ``nnbf.optimize`` (default Rayleigh-Gauss-Newton).
            growth: How V grows (default :class:`Growth`). ``None`` keeps the defaults; to keep V fixed
                pass ``Growth(max_size=len(V))``.
            tail: Training outside V once V has settled (default none).
            energy_tolerance: Converged when ``patience`` steps in a row change the energy by less, Hartree.
            variance_tolerance: ... and the energy variance inside V is below this, Hartree^2.
            patience: Number of such steps (default 2, or 20 for an optimiser without a line search).
            truncated: Leave what is outside V out of local energies, so that the energy minimised is
                that on V. Otherwise the network is evaluated on the whole connected space at every step.
            chooses_anew: V comes from a neighbouring Hamiltonian, with a state to match: before the first
                step it is chosen anew at its size, instead of growing.

        Raises:
            ValueError: Complete local energies with an optimiser that searches a line: what it would
                search in is no energy to minimise.
        """
        super().__init__(state, minimized_quantity_name="Energy")
        self.use(RayleighGaussNewton() if optimizer is None else optimizer)
        if not truncated and self._configured.line_search:
            raise ValueError(f"{type(self._configured).__name__} needs truncated local energies")
        self._truncated = truncated
        self._coupling = None
        self.growth = Growth() if growth is None else growth
        self._energy_tolerance = energy_tolerance
        self._variance_tolerance = variance_tolerance
        self.tail = TailTraining() if tail is None else tail
        self._window = 1 if self._optimizer.line_search else 10
        self._patience = patience or (2 if self._optimizer.line_search else 20)
        self._second_order = None
        self._n_connected = None
        self._stage = 0
        self._final = False
        self._calm = 0
        self._energies = ()
        self._last_change = np.inf
        self._tail_done = 0
        self._outside = None
        self._outside_amplitudes = None
        self._rng = np.random.default_rng(self.tail.seed)
        self._fraction = 1.0
        self._step_norm = 0.0
        self._iterations = 0
        self._grown_from = None
        self._chooses_anew = chooses_anew
        self._before_growth = None

    @property
    def converged(self) -> bool:
        """Whether V is final, the energy has settled, and the training outside V is done."""
        return self._settled and (self._tail_done >= self.tail.steps or self._n_outside == 0)

    @property
    def _settled(self) -> bool:
        return self._final and self._calm >= self._patience

    @property
    def _n_outside(self) -> int | None:
        return None if self._outside is None else len(self._outside.determinants)

    @property
    def second_order(self) -> float | None:
        """Last screened second-order estimate of what V leaves out, Hartree."""
        return self._second_order

    @property
    def n_connected(self) -> int | None:
        """Size of the connected space when V last grew."""
        return self._n_connected

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        stats = self._loss_stats
        used = self._tail_optimizer(self._tail_done - 1)[1] if self._tail_done else self.optimizer_state
        damping = getattr(used, "damping", None)
        return {
            "step": int(self.step_count),
            "time_s": time.perf_counter() - self._started,
            "energy": float(stats.mean),
            "energy_kind": "variational",
            "variance": float(stats.variance),
            "n_space": len(self.state.determinants),
            "n_connected": self._n_connected,
            "pt2": self._second_order,
            "step_norm": float(self._step_norm),
            "damping": None if damping is None else float(damping),
            "accepted": bool(self._fraction > 0),
            "step_fraction": float(self._fraction),
            "solver_iterations": int(self._iterations),
            "stage": self._stage,
            "evaluations": int(self.state.evaluations),
            # The state that V grew from at this step: for extrapolations.
            "grown_from": self._grown_from,
        }

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on; see :class:`~nnbf.drivers.ResumableDriver`."""
        return {
            **self._packed(),
            "determinants": self.state.determinants,
            "random": self._rng.bit_generator.state,
            "outside_amplitudes": self._outside_amplitudes,
            "energies": list(self._energies),
            "evaluations": self.state.evaluations,
            **{name: getattr(self, f"_{name}") for name in _FIELDS},
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot, bit by bit as the driver that it was taken from.

        Raises:
            ValueError: It is the snapshot of another network, optimiser or kind of driver.
        """
        state: SpaceState = self.state
        if "determinants" not in snapshot:
            raise ValueError("the snapshot is not that of a selected-space driver")
        self._unpack(snapshot)
        if not np.array_equal(state.determinants, snapshot["determinants"]):
            state.set_determinants(snapshot["determinants"])
        self._rng.bit_generator.state = snapshot["random"]
        self._outside, self._outside_amplitudes = None, snapshot["outside_amplitudes"]
        if self._outside_amplitudes is not None:
            self._find_outside()
        self._energies = tuple(snapshot["energies"])
        for name in _FIELDS:
            setattr(self, f"_{name}", snapshot[name])
        state.evaluations = snapshot["evaluations"]

    def return_before_growth(self) -> str | None:
        """Go back to the best state that V has grown from, if its energy is the lower one still.

        What a run cut off soon after V has grown is left with: on new determinants the network says
        anything at first. Returns one line that says so, or None where nothing was changed.
        """
        if self._before_growth is None:
            return None
        before, state = self._before_growth, self.state
        grown, determinants = len(state.determinants), before["determinants"]
        if float(state.expect(state.hamiltonian).mean) <= before["energy"]:
            return None
        state.variables = unpack_tree(before["variables"], like=state.variables)
        state.set_determinants(determinants)
        return (
            f"the run ended before the energy on {grown:,} determinants had fallen below that on "
            f"{len(determinants):,}: the result is the state on these"
        )

    def compute_loss_and_update(self):
        """One step: grow V where it is due, propose, search the line."""
        self._grown_from = None
        if self._settled:
            return self._tail_step()
        if self._stage == 0 or self._stage_is_done():
            self._grow()
        state: SpaceState = self.state
        problem = self._problem(state)
        proposal, optimizer_state = self._optimizer.propose(problem, self.optimizer_state)
        if not np.isfinite(proposal.predicted):
            raise FloatingPointError(f"step {self.step_count}: the proposed update is not finite")
        fraction, energy = 1.0, None
        if self._optimizer.line_search:
            fraction, energy = search_line(state, problem.energy, proposal, len(state.determinants))
        gain = (
            (energy - problem.energy) / proposal.predicted
            if energy is not None and proposal.predicted
            else 0.0
        )
        self.optimizer_state = self._optimizer.adapt(optimizer_state, proposal, fraction, gain)
        self._fraction = fraction
        self._step_norm = fraction * float(np.linalg.norm(proposal.change))
        self._iterations = proposal.iterations
        variance = float(problem.residual @ problem.residual)
        self._count_calm_steps(problem.energy, energy, variance)
        stats = nk.stats.Stats(mean=problem.energy, error_of_mean=0.0, variance=variance)
        if state.objective.penalties or not self._truncated:
            # What is reported is the energy alone, and on V alone.
            stats = state.expect(state.hamiltonian)
        return stats, jax.tree.map(lambda leaf: fraction * leaf, proposal.update)

    def _tail_step(self):
        """One step on V and a sample of its connected space; the energy reported is that on V."""
        state: SpaceState = self.state
        stats = state.expect(state.hamiltonian)
        if self._outside is None:
            self._outside_amplitudes = state.wave_function()
            self._find_outside()
            self._n_connected = self._n_outside
            self._stage += 1
        if self._n_outside == 0:
            return stats, jax.tree.map(lambda leaf: 0.0 * leaf, state.parameters)
        extended = extended_state(state, self._outside, self.tail.sample, self._rng)
        optimizer, optimizer_state = self._tail_optimizer(self._tail_done)
        problem = extended.tangent_problem()
        proposal, _ = optimizer.propose(problem, optimizer_state)
        fraction, _ = search_line(extended, problem.energy, proposal, len(extended.determinants))
        self._fraction, self._iterations = fraction, proposal.iterations
        self._step_norm = fraction * float(np.linalg.norm(proposal.change))
        self._tail_done += 1
        return stats, jax.tree.map(lambda leaf: fraction * leaf, proposal.update)

    def _problem(self, state):
        if self._truncated:
            return state.tangent_problem()
        if self._coupling is None or self._coupling.space is not state.determinants:
            self._coupling = ComplementCoupling(state)
        return self._coupling.problem(state)

    def _tail_optimizer(self, step):
        optimizer = RayleighGaussNewton(damping=self.tail.damping_at(step), dense_limit=0, cg_iterations=60)
        return optimizer.restrained(optimizer.init(self.state.parameters), self._level)

    def _find_outside(self):
        """The space that samples are drawn from, in an order that depends on the amplitudes."""
        state: SpaceState = self.state
        self._outside = connected_space(
            state.hamiltonian.tables, state.determinants, self._outside_amplitudes, state.spin_flip
        )

    def _count_calm_steps(self, before, after, variance):
        if after is None:
            # Without a line search the energy may rise and fall: what counts is the drift over a window.
            self._energies = (*self._energies, before)[-self._window - 1 :]
            known = len(self._energies) > self._window
            self._last_change = abs(before - self._energies[0]) if known else np.inf
        else:
            self._last_change = abs(after - before) if self._fraction > 0 else np.inf
        small = self._last_change < self._energy_tolerance and variance < self._variance_tolerance
        self._calm = self._calm + 1 if small else 0

    def _stage_is_done(self):
        if self._final:
            return False
        target = max(self.growth.stage_tolerance * abs(self._second_order or 0.0), self._energy_tolerance)
        return self._last_change < target and self._fraction > 0.25

    def _grow(self):
        state: SpaceState = self.state
        growth = self.growth
        size = len(state.determinants)
        anew = self._chooses_anew and self._stage == 0 and size > 1
        wanted = min(size, growth.max_size) if anew else growth.next_size(size)
        found = rank_connected(state, growth, wanted)
        self._second_order, self._n_connected = found.second_order, found.n_connected
        if not anew:  # a state that is not optimised is no point of an extrapolation
            self._grown_from = {
                "n_space": size,
                "energy": found.energy,
                "variance": found.variance,
                "pt2": found.second_order,
            }
            if self._before_growth is None or found.energy <= self._before_growth["energy"]:
                self._before_growth = {
                    "energy": found.energy,
                    "variables": pack_tree(state.variables),
                    "determinants": state.determinants,
                }
        omitted = abs(found.second_order)
        enough = growth.final_sector is None and (
            omitted < growth.negligible or (size >= growth.free_size and omitted < growth.accuracy)
        )
        at_limit = size >= growth.max_size or len(found.determinants) <= size
        if found.n_connected == 0:
            self._final = True
        elif anew:
            if found.kept < 1.0 or wanted < size:
                self._replace_space(found.determinants)
        elif enough:
            self._final = True
        elif at_limit:
            # The last V was chosen with a poorer state: choose once more, then keep it. One that was
            # given is kept.
            self._final = True
            if self._stage > 0 and size > 1 and found.kept < 1.0:
                self._replace_space(found.determinants)
        else:
            self._replace_space(found.determinants)
        self._stage = max(self._stage, 1)

    def _replace_space(self, determinants):
        self.state.set_determinants(determinants)
        self._stage += 1
        self._calm = 0
        self._energies = ()
        self._last_change = np.inf
        if hasattr(self.optimizer_state, "damping"):
            # New determinants start with whatever the network says of them: be careful again.
            damping = max(self.optimizer_state.damping, 1e-4)
            self.optimizer_state = type(self.optimizer_state)(damping=damping)
