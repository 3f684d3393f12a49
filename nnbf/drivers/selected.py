"""The selected-space driver: optimise on V, grow V, until the energy has settled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import netket as nk
import numpy as np
import scipy.sparse.linalg

from nnbf.drivers.base import ExactDriver, Progress, search_line, static_field
from nnbf.drivers.growth import Growth, rank_connected
from nnbf.drivers.monitor import Snapshot, pack_tree, unpack_tree
from nnbf.optimize import FitToVector, RayleighGaussNewton
from nnbf.optimize.tangent import tree_axpy
from nnbf.states import ComplementCoupling, SpaceState, Surroundings, extended_state
from nnbf.states.estimates import second_order_of
from nnbf.states.selected_ci import lowest_eigenpairs

#: Energy variance inside V (Hartree^2) below which a run may be called converged.
SETTLED_VARIANCE = 1e-4
#: Training outside V is done where V and the sample around it lie by less than this (Hartree) from what
#: second order promises, so many steps in a row.
SETTLED_AROUND, CALM_AROUND = 1e-5, 3
#: Steps outside V after which the energy of the whole state is worth sampling, should a run end there.
ENOUGH_AROUND = 20


@dataclass(frozen=True)
class TailTraining:
    """Steps, after V has settled, that teach the network the determinants outside V.

    Every step draws determinants outside V (:mod:`nnbf.states.surroundings`) and makes one Gauss-Newton step
    on V and these together. Parameters are averaged over the last steps, which see different samples: the
    damping can then be small.
    """

    steps: int = 0
    """Number of such steps; 0 leaves the network as V made it."""
    largest_space: int | None = None
    """Where V is larger, no steps are made; None: whatever its size."""
    sample: int = 8192
    """Determinants drawn at every step; as many as V has where these are more."""
    damping: float = 2e-4
    """Damping of the steps."""
    averaged: float = 0.2
    """Share of the steps, the last ones, that parameters are averaged over."""
    seed: int = 0
    """Seed of the samples."""


@dataclass
class _Progress(Progress):
    second_order: float | None = None
    """Last screened second-order estimate of what V leaves out, Hartree."""
    n_connected: int | None = None
    """Size of the connected space when V last grew."""
    stage: int = 0
    """Number of the present V."""
    final: bool = False
    """True where V grows no more."""
    energies: list[float] = field(default_factory=list)
    """Energies of the last steps, of an optimiser without a line search."""
    tail_done: int = 0
    """Steps made outside V."""
    tail_calm: int = 0
    """The last of them that found nothing left to gain."""
    before_growth: Snapshot | None = None
    """The best state that V has grown from."""
    above: float = np.inf
    """Energy after the last step above the lowest on V, Hartree; infinite where that is not known."""
    fitted: bool = True
    """False where the network cannot be fitted any closer to the lowest state on V."""


class SelectedSpaceDriver(ExactDriver):
    """Minimises the energy of a :class:`~nnbf.states.SpaceState` while its space grows.

    Where the state has a spin penalty, that is minimised with the energy, and rows have the energy alone.
    Between steps V grows as ``growth`` says. The run ends by itself when V is final and the energy has
    settled.
    """

    growth: Growth = static_field()
    tail: TailTraining = static_field()
    _window: int = static_field()
    _truncated: bool = static_field()
    _chooses_anew: bool = static_field()
    _coupling: ComplementCoupling | None = static_field()
    _irreps: Any = static_field()
    _surroundings: Surroundings | None = static_field()
    _n_outside: int | None = static_field()
    _outside_amplitudes: Any = static_field()
    _objective: float | None = static_field()
    _average: Any = static_field()
    _before_tail: Any = static_field()
    _lowest: Any = static_field()
    _grown_from: dict[str, Any] | None = static_field()

    def __init__(
        self,
        state: SpaceState,
        *,
        optimizer: Any = None,
        growth: Growth | None = None,
        tail: TailTraining | None = None,
        energy_tolerance: float = 1e-6,
        truncated: bool = True,
        chooses_anew: bool = False,
        irreps: np.ndarray | None = None,
    ):
        """Make a driver.

        Args:
            state: The state to optimise.
            optimizer: An optimiser of ``nnbf.optimize`` (default Rayleigh-Gauss-Newton).
            growth: How V grows (default :class:`Growth`). ``None`` keeps the defaults; to keep V fixed
                pass ``Growth(max_size=len(V))``.
            tail: Training outside V once V has settled (default none).
            energy_tolerance: Converged when two steps in a row (20 of an optimiser without a line search)
                change the energy by less, Hartree, and its variance inside V is below `SETTLED_VARIANCE`.
            truncated: Leave what is outside V out of local energies, so that the energy minimised is
                that on V. Otherwise the network is evaluated on the whole connected space at every step.
            chooses_anew: V comes from a neighbouring Hamiltonian, with a state to match: before the first
                step it is chosen anew at its size, instead of growing.
            irreps: (M,) XOR codes of the orbitals' irreps: samples outside V keep to that of the reference.

        Raises:
            ValueError: Complete local energies with an optimiser that searches a line: what it would
                search in is no energy to minimise.
        """
        super().__init__(state, optimizer, _Progress(), energy_tolerance)
        searches = self._configured.line_search
        if not truncated and searches:
            raise ValueError(f"{type(self._configured).__name__} needs truncated local energies")
        self.growth = Growth() if growth is None else growth
        self.tail = TailTraining() if tail is None else tail
        self._window = 1 if searches else 10
        self._patience = 2 if searches else 20
        self._truncated, self._coupling = truncated, None
        self._chooses_anew, self._grown_from, self._lowest = chooses_anew, None, None
        self._surroundings = self._n_outside = self._outside_amplitudes = self._objective = None
        self._average = self._before_tail = None
        self._irreps = np.zeros(state.hamiltonian.n_orbitals, np.int64) if irreps is None else irreps

    @property
    def converged(self) -> bool:
        """True where V is final, the energy has settled, and the training outside V is done."""
        return self._settled and (self._tail_is_done or self._n_outside == 0)

    @property
    def has_trained_around(self) -> bool:
        """True where the steps outside V were made, or so many that the network is no longer free there."""
        enough = self._tail_is_done or self.progress.tail_done >= ENOUGH_AROUND
        return self._tail_steps > 0 and self._settled and enough

    @property
    def averaged(self) -> Any:
        """Parameters: averaged over the last steps outside V; after too few of them, those from before."""
        found = self._average if self.has_trained_around else self._before_tail
        return self.state.parameters if found is None else found

    @property
    def parameters_before(self) -> Any:
        """Parameters from before the steps outside V; the present ones where there were none."""
        return self.state.parameters if self._before_tail is None else self._before_tail

    @property
    def _tail_is_done(self) -> bool:
        progress = self.progress
        return progress.tail_done >= self._tail_steps or progress.tail_calm >= CALM_AROUND

    @property
    def _tail_steps(self) -> int:
        most, sector = self.tail.largest_space, self.growth.final_sector
        size = len(self.state.determinants)
        is_whole = sector is not None and size >= len(sector)
        return 0 if is_whole or (most is not None and size > most) else self.tail.steps

    @property
    def _settled(self) -> bool:
        return self.progress.final and self.progress.calm >= self._patience

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        sampled = {} if self._objective is None else {"objective": self._objective}
        return {
            **super().row,
            **sampled,
            "energy_kind": "variational",
            "n_space": len(self.state.determinants),
            "n_connected": self.progress.n_connected,
            "pt2": self.progress.second_order,
            "stage": self.progress.stage,
            # The state that V grew from at this step: for extrapolations.
            "grown_from": self._grown_from,
        }

    def _used_state(self):
        done = self.progress.tail_done
        return self._tail_optimizer()[1] if done else self.optimizer_state

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on; see :class:`~nnbf.drivers.ResumableDriver`."""
        return {
            **super().snapshot(),
            "determinants": self.state.determinants,
            "outside_amplitudes": self._outside_amplitudes,
            "average": None if self._average is None else pack_tree(self._average),
            "before_tail": None if self._before_tail is None else pack_tree(self._before_tail),
            "chains": None if self._surroundings is None else self._surroundings.positions,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot, bit by bit as the driver that it was taken from.

        Raises:
            ValueError: It is the snapshot of another network, optimiser or kind of driver.
        """
        super().restore(snapshot)
        if not np.array_equal(self.state.determinants, snapshot["determinants"]):
            self.state.set_determinants(snapshot["determinants"])
        self._surroundings = self._n_outside = None
        self._outside_amplitudes = snapshot["outside_amplitudes"]
        # Snapshots of earlier versions have no average.
        self._average, self._before_tail = (
            None if snapshot.get(name) is None else unpack_tree(snapshot[name], like=self.state.parameters)
            for name in ("average", "before_tail")
        )
        if self._outside_amplitudes is not None:
            self._look_around(snapshot.get("chains"))

    def return_before_growth(self) -> str | None:
        """Go back to the best state that V has grown from, if its energy is the lower one still.

        What a run cut off soon after V has grown is left with: on new determinants the network says
        anything at first. Returns one line that says so, or None where nothing was changed.
        """
        before, state = self.progress.before_growth, self.state
        if before is None or float(state.expect(state.hamiltonian).mean) <= before["energy"]:
            return None
        grown, determinants = len(state.determinants), before["determinants"]
        state.variables = unpack_tree(before["variables"], like=state.variables)
        state.set_determinants(determinants)
        return (
            f"the run ended before the energy on {grown:,} determinants had fallen below that on "
            f"{len(determinants):,}: the result is the state on these"
        )

    def compute_loss_and_update(self):
        """One step: grow V where it is due, propose, search the line."""
        self._grown_from = self._objective = None
        if self._settled:
            return self._tail_step()
        if self.progress.stage == 0 or self._stage_is_done():
            self._grow()
        state: SpaceState = self.state
        problem = self._problem(state)
        goal = self._goal()
        fit = None if goal is None or not self.progress.fitted else FitToVector(self._optimizer, goal[1])
        update, energy = self._propose(problem, fit)
        variance = float(problem.residual @ problem.residual)
        self._count_calm_steps(problem.energy, energy, variance)
        if goal is not None:
            self._compare(problem.energy - goal[0], energy - goal[0])
        stats = nk.stats.Stats(mean=problem.energy, error_of_mean=0.0, variance=variance)
        if state.objective.penalties or not self._truncated:
            # What is reported is the energy alone, and on V alone.
            stats = state.expect(state.hamiltonian)
        return stats, update

    def _tail_step(self):
        """One step on V and determinants around it: the energy is that on V, the objective that on both."""
        state: SpaceState = self.state
        stats = state.expect(state.hamiltonian)
        if self._n_outside is None:
            self._outside_amplitudes, self._before_tail = state.wave_function(), state.parameters
            self._look_around(None)
            self.progress.n_connected = self._n_outside
            self.progress.stage += 1
        if self._surroundings is None:
            return stats, jax.tree.map(lambda leaf: 0.0 * leaf, state.parameters)
        drawn = self._surroundings.draw(state, self.progress.tail_done)
        extended = extended_state(state, drawn.determinants, drawn.copies)
        optimizer, optimizer_state = self._tail_optimizer()
        problem = extended.tangent_problem()
        proposal, _ = optimizer.propose(problem, optimizer_state)
        fraction, _ = search_line(extended, problem.energy, proposal, problem.size)
        self._objective = problem.energy
        self.progress.tail_done += 1
        reachable = float(stats.mean) + (self.progress.second_order or 0.0)
        calm = abs(problem.energy - reachable) < SETTLED_AROUND
        self.progress.tail_calm = self.progress.tail_calm + 1 if calm else 0
        return stats, self._taken(proposal, fraction)

    def update_parameters(self, dp: Any) -> None:
        """Add the update to the parameters, and outside V these to their average."""
        super().update_parameters(dp)
        done = self.progress.tail_done
        if done:
            latest = self.state.parameters
            before = latest if self._average is None else self._average
            share = 1.0 / max(1.0, self.tail.averaged * done)
            self._average = tree_axpy(share, tree_axpy(-1.0, before, latest), before)

    def _problem(self, state):
        if self._truncated:
            return state.tangent_problem()
        if self._coupling is None or self._coupling.space is not state.determinants:
            self._coupling = ComplementCoupling(state)
        return self._coupling.problem(state)

    def _tail_optimizer(self):
        optimizer = RayleighGaussNewton(damping=self.tail.damping, dense_limit=0, cg_iterations=25)
        return optimizer.restrained(optimizer.init(self.state.parameters), self._level)

    def _look_around(self, chains):
        """Find what lies outside V, where there is anything; samples of it go on where chains were."""
        state: SpaceState = self.state
        psi, tail = self._outside_amplitudes, self.tail
        outside = state.hamiltonian.connected_space(state.determinants, psi, state.spin_flip)
        self._n_outside = len(outside.determinants)
        if self._n_outside:
            amplitudes = psi * np.sqrt(state.multiplicity)
            energy = float(amplitudes @ (state.matrix @ amplitudes))
            # Of this V: the last growth knew that of the one before.
            self.progress.second_order = second_order_of(outside, energy, state.spin_flip)
            size = max(tail.sample, len(psi))
            self._surroundings = Surroundings(state, outside, energy, self._irreps, size, tail.seed)
            self._surroundings.positions = chains

    def _goal(self):
        """Lowest energy on V and its state, where the network is fitted to that; else None."""
        state: SpaceState = self.state
        if self._lowest is None or self._lowest[0] is not state.determinants:
            self._lowest = state.determinants, self._lowest_state()
        return self._lowest[1]

    def _lowest_state(self):
        state: SpaceState = self.state
        optimizer, size = self._configured, len(state.determinants)
        if not (isinstance(optimizer, RayleighGaussNewton) and self._truncated and state.is_real):
            return None
        if size < 2 or state.penalty.vectors is not None:
            return None
        try:
            values, vectors = lowest_eigenpairs(state.minimised)
        except scipy.sparse.linalg.ArpackNoConvergence:  # searched for, then
            return None
        return float(values[0]), vectors[:, 0]

    def _compare(self, before, after):
        """Take note of energies above the lowest on V, before and after a step."""
        progress = self.progress
        progress.above = after
        # A network that cannot be fitted closer may still have a lower energy.
        progress.fitted = progress.fitted and after < 0.7 * before
        if after < self._tolerance:
            progress.calm = self._patience

    def _count_calm_steps(self, before, after, variance):
        progress = self.progress
        if after is None:
            # Without a line search the energy may rise and fall: what counts is the drift over a window.
            progress.energies = [*progress.energies, before][-self._window - 1 :]
            known = len(progress.energies) > self._window
            progress.last_change = abs(before - progress.energies[0]) if known else np.inf
        else:
            progress.last_change = abs(after - before) if progress.fraction > 0 else np.inf
        self._count(progress.last_change < self._tolerance and variance < SETTLED_VARIANCE)

    def _stage_is_done(self):
        progress = self.progress
        if progress.final:
            return False
        target = max(self.growth.stage_tolerance * abs(progress.second_order or 0.0), self._tolerance)
        if progress.above < target:
            return True
        return progress.last_change < target and progress.fraction > 0.25

    def _grow(self):
        state, growth, progress = self.state, self.growth, self.progress
        size = len(state.determinants)
        anew = self._chooses_anew and progress.stage == 0 and size > 1
        wanted = min(size, growth.max_size) if anew else growth.next_size(size)
        goal = None if anew else self._goal()
        found = rank_connected(state, growth, wanted, None if goal is None else goal[1])
        progress.second_order, progress.n_connected = found.second_order, found.n_connected
        if not anew:  # a state that is not optimised is no point of an extrapolation
            self._note_growth(found)
        at_limit = size >= growth.max_size or len(found.determinants) <= size
        if anew:
            progress.final = found.n_connected == 0
            replaced = not progress.final and (found.kept < 1.0 or wanted < size)
        elif found.n_connected == 0 or growth.is_enough(size, abs(found.second_order)):
            progress.final, replaced = True, False
        elif at_limit:
            # The last V was chosen with a poorer state: choose once more, then keep it. One that was
            # given is kept.
            progress.final = True
            replaced = progress.stage > 0 and size > 1 and found.kept < 1.0
        else:
            replaced = True
        if replaced:
            self._replace_space(found.determinants)
        progress.stage = max(progress.stage, 1)

    def _note_growth(self, found):
        """Remember the state that V grows from, for extrapolations and to go back to."""
        state, best = self.state, self.progress.before_growth
        energy = float(state.expect(state.hamiltonian).mean)
        self._grown_from = {
            "n_space": len(state.determinants),
            "energy": found.energy,
            "variance": found.variance,
            "pt2": found.second_order,
        }
        if best is None or energy <= best["energy"]:
            self.progress.before_growth = {
                "energy": energy,
                "variables": pack_tree(state.variables),
                "determinants": state.determinants,
            }

    def _replace_space(self, determinants):
        self.state.set_determinants(determinants)
        progress = self.progress
        progress.stage += 1
        progress.calm, progress.energies, progress.last_change = 0, [], np.inf
        progress.above, progress.fitted = np.inf, True
        if hasattr(self.optimizer_state, "damping"):
            # New determinants start with whatever the network says of them: be careful again.
            damping = max(self.optimizer_state.damping, 1e-4)
            self.optimizer_state = type(self.optimizer_state)(damping=damping)
