"""Trained states in a run folder: of a molecule the newest, of other problems a level, from its file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.errors import InputError
from nnbf._text import typed
from nnbf.drivers.methods import make_options
from nnbf.runs.checkpoint import Checkpoint, load_checkpoint
from nnbf.runs.directory import RunDirectory
from nnbf.runs.schema import is_molecule

if TYPE_CHECKING:
    from hamiltonians import Lattice, Sector
    from nnbf.drivers.level import Level
    from nnbf.states import SpaceState


@dataclass(frozen=True, eq=False)
class TrainedState:
    """A wave function as a run left it."""

    directory: RunDirectory
    """The folder of the run."""
    problem: Any
    """The problem."""
    options: Any
    """Options of the run."""
    network: Any
    """Flax module."""
    variables: Any
    """Its variables."""
    determinants: np.ndarray | None = None
    """V of a molecule, (n, 2 W) bit strings; None where the run has none."""
    step: int | None = None
    """Optimisation steps that were made; None where only the final parameters are left."""
    notes: tuple[str, ...] = ()
    """One line for everything that is not as it should be."""
    name: str = ""
    """Name of a level of another problem than a molecule: that of its file, without the ending."""
    momentum: Sequence[int] | None = None
    """Momentum of a lattice's level."""
    is_result: bool = True
    """Whether result.json describes it: not a checkpoint of a run that broke off or is on its way."""

    @cached_property
    def state(self) -> "SpaceState":
        """State of a molecule on V; on the reference determinant where no V is known."""
        from nnbf.operators import MolecularHamiltonian
        from nnbf.states import SpaceState

        hamiltonian = MolecularHamiltonian(self.problem.integrals)
        return SpaceState(hamiltonian, self.network, self.determinants, variables=self.variables)


def newest_parameters(directory: RunDirectory, config: Mapping[str, Any]) -> Checkpoint:
    """Read the state of a molecule's run that result.json describes, or a checkpoint that is newer.

    A run that is cut off goes on, where it is resumed, from another state than its result is of: from a
    space that has just grown, say. Of the same step the state of the result counts.

    Raises:
        InputError: There are none.
    """
    found = directory.checkpoints(config).load()
    final = directory.read_checkpoint() if directory.checkpoint_file.is_file() else Checkpoint(None)
    final = replace(final, notes=found.problems)
    snapshot = found.snapshot
    if snapshot is not None and not _is_reported(final, directory, int(snapshot["driver"]["step"])):
        driver = snapshot["driver"]
        return replace(
            final,
            parameters=driver.get("variables"),
            determinants=driver.get("determinants", final.determinants),
            network=snapshot.get("network", final.network),
            step=int(driver["step"]),
            is_result=False,
        )
    if final.parameters is None:
        raise InputError(
            f"{directory.path} holds no checkpoint that is whole: run it for longer with "
            f"{typed('resume', directory.path)}"
        )
    return final


def _is_reported(final: Checkpoint, directory: RunDirectory, step: int) -> bool:
    """Whether the final state is that of a result after so many steps, or more."""
    if final.parameters is None:
        return False
    made = final.step
    if made is None:  # of an earlier version
        result = directory.read_result_or_none() or {}
        made = -1 if result.get("status") in (None, "failed") else result["n_steps"]
    return made >= step


def load_trained(directory: RunDirectory, name: str = "") -> TrainedState:
    """Read a trained state: of a molecule the newest there is, of other problems a level that is finished.

    Args:
        directory: The run folder.
        name: Name of a level of a lattice, see `TrainedState.name`; by default that of the lowest.

    Raises:
        InputError: There is no such state, or the files do not fit together.
    """
    config = directory.read_config()
    record, path = None, directory.checkpoint_folder
    if not is_molecule(config):
        record = _finished_level(directory, name)
        path = directory.state_file(record)
    problem = directory.read_problem(config)
    options = make_options(problem.format, config["options"])
    saved = newest_parameters(directory, config) if record is None else load_checkpoint(path)
    network = _network(saved, problem, options, record)
    try:
        variables = fitted_variables(saved, network, problem)
    except ValueError as error:
        raise InputError(f"the parameters in {path} do not fit the run's options: {error}") from error
    return TrainedState(
        directory,
        problem,
        options,
        network,
        variables,
        saved.determinants,
        saved.step if record is None else None,
        saved.notes,
        "" if record is None else path.stem,
        None if record is None else record.get("momentum"),
        saved.is_result,
    )


def fitted_variables(saved: Checkpoint, network: Any, problem: Any) -> dict[str, Any]:
    """Return the variables of a network with the arrays of a file.

    Raises:
        ValueError: They do not fit.
    """
    import jax

    from nnbf.drivers.monitor import unpack_tree

    leaves = jax.tree.leaves(saved.parameters)
    return unpack_tree(leaves, like=_blank_variables(network, problem))


def recalled_level(
    directory: RunDirectory, record: Mapping[str, Any], problem: "Lattice", sector: "Sector", options: Any
) -> "Level":
    """Return a level by full summation that an earlier session finished, from its file and its record.

    Args:
        directory: The run folder.
        record: Record of the level.
        problem: The lattice, with the level's number of particles.
        sector: Sector of the level.
        options: Options of the run.

    Raises:
        InputError: The file is missing or damaged, does not say which network it is of, or does not fit.
    """
    from nnbf.ansatz import ansatz_from_spec
    from nnbf.drivers.operator_levels import level_of_state
    from nnbf.drivers.sector_levels import sector_state

    path = directory.state_file(record)
    saved = load_checkpoint(path)
    if saved.network is None:
        raise InputError(f"{path} does not say which network it is of")
    state = sector_state(problem, sector, options, ansatz=ansatz_from_spec(saved.network))
    try:
        state.variables = fitted_variables(saved, state.model, problem)
    except ValueError as error:
        raise InputError(f"{path} does not fit its network: {error}") from error
    level = level_of_state(problem, sector, state)
    return replace(
        level,
        energy=replace(level.energy, upper_bound=record["upper_bound"]),
        number=record["level"],
        warnings=tuple(record.get("warnings", ())),
        details={name: record.get(name, 0) for name in ("overlap", "attempt")},
        **{name: record[name] for name in ("status", "n_steps", "wall_time_s", "reference")},
    )


def _finished_level(directory: RunDirectory, name: str) -> dict[str, Any]:
    levels = directory.read_result()["levels"] if directory.result_file.is_file() else ()
    records = {directory.state_file(level).stem: level for level in levels}
    if not records:
        path = directory.path
        raise InputError(f"{path} has no levels yet: {typed('resume', path)} goes on")
    chosen = name.removesuffix(".npz") or min(records, key=lambda name: records[name]["energy"])
    if chosen not in records:
        raise InputError(f"there is no state {chosen!r} in {directory.path}: it has {', '.join(records)}")
    return records[chosen]


def _network(saved: Checkpoint, problem: Any, options: Any, record: Mapping[str, Any] | None) -> Any:
    """Network of a file; files of format 1 do not say which: that of the options."""
    from nnbf.ansatz import ansatz_from_spec

    if saved.network is not None:
        return ansatz_from_spec(saved.network)
    if record is not None:
        return _network_of_level(saved, problem, options, record)
    from nnbf.drivers import make_model

    return make_model(problem, options)


def _network_of_level(saved: Checkpoint, problem: "Lattice", options: Any, record: Mapping[str, Any]) -> Any:
    """Network of a level in a folder of format 1: full sums were tried with several."""
    import jax

    from hamiltonians import space_group
    from nnbf.drivers.calculation import RETRIES, with_determinants
    from nnbf.drivers.lattice_ansatz import make_lattice_ansatz

    where = {"spin_flip": record["spin_flip"]}
    sector = space_group(problem).sector(tuple(record["momentum"]), record["irrep"], **where)
    if sector.dimension > 1:
        sector = space_group(problem).sector(sector.momentum, sector.irrep, row=0, **where)
    if record["kind"] == "vmc":
        return make_lattice_ansatz(problem, sector, options, "vmc")
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(saved.parameters)]
    for attempt in range(RETRIES + 1):
        again = replace(options, seed=options.seed + 1000 * attempt)
        again = with_determinants(problem, sector, again, int(record["level"]) + attempt)
        network = make_lattice_ansatz(problem, sector, again, "full-sum")
        if [leaf.shape for leaf in jax.tree.leaves(_blank_variables(network, problem))] == shapes:
            break
    return network


def _blank_variables(network: Any, problem: Any) -> Any:
    """Variables of a network, all zero: their shapes matter."""
    import jax
    import jax.numpy as jnp

    from hamiltonians import Molecule
    from nnbf.states.markov_chains import example_of, hamiltonian_of

    if isinstance(problem, Molecule):
        configurations = jnp.zeros((1, problem.n_modes), jnp.int8)
    else:
        configurations = example_of(hamiltonian_of(problem))
    shapes = jax.eval_shape(network.init, jax.random.key(0), configurations)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
