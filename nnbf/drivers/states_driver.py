"""Networks for several eigenvectors of H on V, one after another, by one driver that can be resumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import netket as nk
import numpy as np

from nnbf.ansatz import NeuralBackflow, contract
from nnbf.determinants import (
    multiplicities,
)
from nnbf.determinants.parallel import sparse_times_vector
from nnbf.drivers.base import ExactDriver, Progress, static_field
from nnbf.drivers.monitor import Snapshot, pack_tree, unpack_tree
from nnbf.drivers.state_blocks import Eigenstate, Folded
from nnbf.optimize import FitToVector, RayleighGaussNewton
from nnbf.states import Objective, Space, SpaceState
from nnbf.states.objective import PenaltyTerms

#: Excluded states are pushed above the one that is sought by this much (Hartree) at least.
_ABOVE = 1.0
#: Steps in a row without gain after which a network is as close as it comes.
_PATIENCE = 3


@dataclass(frozen=True, eq=False)
class _Apart:
    """Penalty on the states below."""

    vectors: np.ndarray
    strength: float

    def terms(self, hamiltonian: Any, space: Space, is_real: bool) -> PenaltyTerms:
        """See :class:`~nnbf.states.objective.Penalty`."""
        return PenaltyTerms(None, self.vectors, self.strength)

    def moves(self, rows: np.ndarray) -> Any:
        """See :class:`~nnbf.states.objective.Penalty`.

        Raises:
            ValueError: Always.
        """
        raise ValueError("several states are found by exact sums alone")


@dataclass(eq=False)
class Target:
    """An eigenvector and the network that is to be it."""

    goal: Eigenstate
    """The eigenvector of H on V."""
    model: Any
    """The network."""
    seed: int
    """Of the initial parameters."""
    label: str = ""
    """Name of the state."""
    status: str = ""
    """converged or unfinished; empty before the first step."""
    steps: int = 0
    """Steps made."""

    @property
    def parity(self) -> int | None:
        """1 or -1 of a network that is even or odd under spin flip, else None."""
        return contract.spin_flip_parity(self.model)

    @cached_property
    def folded(self) -> Folded:
        """Coordinates of the state."""
        return self.goal.block.folded(self.parity)

    @cached_property
    def vector(self) -> np.ndarray:
        """The eigenvector in these coordinates, (n,)."""
        return self.folded.transform @ self.goal.vector

    @cached_property
    def state(self) -> SpaceState:
        """The network on V, to be optimised."""
        goal, folded = self.goal, self.folded
        turn = folded.transform
        matrix = (turn @ goal.block.matrix @ turn.T).tocsr()
        space = Space(
            folded.rows,
            np.ones(len(folded.rows)) if self.parity is None else multiplicities(folded.rows),
            matrix=matrix,
        )
        below = turn @ goal.below
        below = below[:, np.linalg.norm(below, axis=0) > 0.5].T  # of the other parity there is nothing
        lowest = min((float(v @ (matrix @ v)) for v in below), default=goal.energy)
        apart = (_Apart(below, _ABOVE + 1.5 * (goal.energy - lowest)),) if len(below) else ()
        objective = Objective(goal.block.hamiltonian, apart)
        # On these determinants parity and irrep change nothing, and one program serves all states.
        model, reference = self.model, None
        if type(model) is NeuralBackflow:
            reference = model.reference
            model = model.clone(spin_flip="none", reference=None, orbital_irreps=None)
        state = SpaceState(objective, model, space, seed=self.seed)
        if reference is not None and model.blocked:
            state.parameters = at_reference(state.parameters, model, reference, self.parity is not None)
        return state

    def amplitudes(self) -> np.ndarray:
        """The network on all determinants of the block, (N,), normalised, with the sign of the goal."""
        found = self.folded.transform.T @ self.state.vector()
        return found * np.sign(found @ self.goal.vector or 1.0)


def at_reference(parameters: Any, model: NeuralBackflow, reference: Any, folded: bool) -> Any:
    """Parameters of a fresh network that starts from the first orbitals, for another determinant.

    Args:
        parameters: Those of the network.
        model: The network, with determinants of each spin.
        reference: Occupied (alpha, beta) orbitals.
        folded: Whether one of a determinant and its spin flip is looked at.
    """
    alpha, beta = reference
    if folded and sorted(alpha, reverse=True) > sorted(beta, reverse=True):
        alpha, beta = beta, alpha
    change = []
    for occupied in (alpha, beta):
        unit = np.eye(model.n_orbitals)
        change.append((unit[:, list(occupied)] - unit[:, : len(occupied)]).ravel())
    layer = parameters["orbitals"]
    bias = layer["bias"] + np.tile(np.concatenate(change), model.n_determinants)
    return {**parameters, "orbitals": {**layer, "bias": bias}}


@dataclass
class _Progress(Progress):
    index: int = 0
    """State that steps are made for."""
    above: float = np.inf
    """Objective above the eigenvalue after the last step, Hartree."""
    started_at: int = 0
    """Step that it began with."""
    fitted: bool = True
    """False where fitting gains nothing any more."""
    records: list[dict[str, Any]] = field(default_factory=list)
    """Status and steps of the states that are done."""


class StatesDriver(ExactDriver):
    """Fits networks to eigenvectors of H on V, in their order, by Gauss-Newton steps with a line search.

    What a line search lets fall is the energy with the states below pushed up, whose minimum is the
    eigenvector sought.
    """

    targets: Sequence[Target] = static_field()
    _finished: list[Any] = static_field()
    _most: int = static_field()

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        optimizer: RayleighGaussNewton | None = None,
        energy_tolerance: float = 1e-6,
        most_steps: int = 200,
    ):
        """Make a driver.

        Args:
            targets: What is fitted to what.
            optimizer: Bounds steps, and searches where fitting gains nothing any more.
            energy_tolerance: A network is done when its energy is above the eigenvalue by less, Hartree.
            most_steps: Steps for each network.
        """
        super().__init__(targets[0].state, optimizer, _Progress(), energy_tolerance)
        self.targets, self._finished, self._most = targets, [], most_steps

    @property
    def target(self) -> Target:
        """State that steps are made for."""
        return self.targets[self.progress.index]

    @property
    def converged(self) -> bool:
        """True where all networks are done."""
        return self.progress.index == len(self.targets) - 1 and self._is_done

    @property
    def _is_done(self):
        progress = self.progress
        made = int(self.step_count) - progress.started_at
        return progress.above < self._tolerance or progress.calm >= _PATIENCE or made >= self._most

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        return {
            **super().row,
            "energy_kind": "variational",
            "n_space": len(self.target.goal.block.determinants),
            "stage": self.progress.index,
            "sector": self.target.label,
            "level": self.progress.index,
            "selected_ci": self.target.goal.energy,
        }

    def note_end(self) -> None:
        """Write down how far every network came."""
        records = [*self.progress.records, self._record()]
        for target, record in zip(self.targets, records, strict=False):
            target.status, target.steps = record["status"], record["steps"]

    def _record(self):
        progress = self.progress
        made = int(self.step_count) - progress.started_at
        status = "unfinished" if made == 0 or not self._is_done else "converged"
        if made >= self._most and progress.above > self._tolerance:
            status = "max_steps"
        return {"status": status if made else "", "steps": made}

    def compute_loss_and_update(self):
        """One step: go on to the next network where this one is done, propose, search the line."""
        if self._is_done:
            self._next()
        target, progress, state = self.target, self.progress, self.state
        problem = state.tangent_problem()
        fit = FitToVector(self._optimizer, target.vector) if progress.fitted else None
        update, objective = self._propose(problem, fit)
        before, after = problem.energy - target.goal.energy, objective - target.goal.energy
        if fit is not None:
            progress.fitted = after < 0.7 * before
        progress.above = after
        progress.last_change = before - after
        # Where fitting has come to its end, searching may still gain.
        self._count(fit is None and before - after < max(self._tolerance, 0.05 * before))
        amplitudes = state.amplitudes()
        product = sparse_times_vector(state.matrix, amplitudes)
        energy = float(amplitudes @ product)
        variance = float(np.sum((product - energy * amplitudes) ** 2))
        return nk.stats.Stats(mean=energy, error_of_mean=0.0, variance=variance), update

    def _next(self):
        progress = self.progress
        self._finished.append(pack_tree(self.state.variables))
        records = [*progress.records, self._record()]
        evaluations = self.state.evaluations
        self.progress = _Progress(index=progress.index + 1, started_at=int(self.step_count), records=records)
        self._variational_state = self.target.state
        self.state.evaluations = evaluations
        self.optimizer_state = self._optimizer.init(self.state.parameters)

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on; see :class:`~nnbf.drivers.ResumableDriver`."""
        return {
            **super().snapshot(),
            "finished": list(self._finished),
            "determinants": self.target.goal.block.determinants,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot, bit by bit as the driver that it was taken from.

        Raises:
            ValueError: It is the snapshot of another network, optimiser or kind of driver.
        """
        index, finished = snapshot.get("index", 0), snapshot.get("finished")
        if finished is None or index >= len(self.targets) or len(finished) != index:
            raise ValueError(f"the snapshot is not that of a {type(self).__name__} of these states")
        for target, leaves in zip(self.targets, finished, strict=False):
            target.state.variables = unpack_tree(leaves, like=target.state.variables)
        self._finished = list(finished)
        self._variational_state = self.targets[index].state
        super().restore(snapshot)
