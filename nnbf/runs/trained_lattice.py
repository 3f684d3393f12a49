"""The trained state of a level in the folder of a lattice run: its file alone is read, nothing is planned."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf._program import typed
from nnbf.runs.checkpoint import load_checkpoint
from nnbf.runs.directory import RunDirectory
from nnbf.runs.schema import load_config, load_result


@dataclass(frozen=True, eq=False)
class TrainedLevel:
    """A level of a lattice, or of another registered problem, as a run left it."""

    directory: RunDirectory
    """The folder of the run."""
    model: Any
    """The problem."""
    options: Mapping[str, Any]
    """Options of the run."""
    record: dict[str, Any]
    """Entry of ``levels`` in result.json."""
    name: str
    """Name of its file in states/, without the ending."""
    ansatz: Any
    """The network."""
    variables: Any
    """Its variables."""


def load_trained_level(folder: str | Path, state: str = "") -> TrainedLevel:
    """Read the parameters of a level that a run has finished.

    Args:
        folder: The run folder.
        state: Name of a file in states/, without the ending; by default that of the lowest level.

    Raises:
        InputError: There is no such level, or the files do not fit together.
    """
    directory = RunDirectory.open(folder)
    config = load_config(folder)
    unfinished = f"{directory.path} has no levels yet: {typed('resume', directory.path)} goes on"
    if not directory.result_file.is_file():
        raise InputError(unfinished)
    records = {directory.state_file(record).stem: record for record in load_result(folder)["levels"]}
    if not records:
        raise InputError(unfinished)
    name = state.removesuffix(".npz") or min(records, key=lambda name: records[name]["energy"])
    if name not in records:
        raise InputError(f"there is no state {name!r} in {directory.path}: it has {', '.join(records)}")
    record = records[name]
    model = directory.read_problem(config)
    ansatz, variables = _network(config, model, record, directory.state_file(record))
    return TrainedLevel(directory, model, config["options"], record, name, ansatz, variables)


def _network(config, model, record, path):
    """Ansatz and variables of a state file."""
    import jax

    from nnbf.ansatz import ansatz_from_spec
    from nnbf.drivers.monitor import unpack_tree

    saved = load_checkpoint(path)
    parameters = jax.tree.leaves(saved.parameters)
    if saved.network is not None:
        ansatz = ansatz_from_spec(saved.network)
    else:
        ansatz = _of_options(config, model, record, parameters)
    if ansatz is None:
        raise InputError(
            f"the parameters in {path} do not fit the run's options: use its version of the program"
        )
    try:
        return ansatz, {"params": unpack_tree(parameters, like=_parameter_tree(ansatz, model))}
    except ValueError as error:
        raise InputError(f"the parameters in {path} do not fit the run's options: {error}") from error


def _parameter_tree(ansatz, model):
    import jax
    import jax.numpy as jnp

    from nnbf.states.hop_chains import example_of, hamiltonian_of

    example = example_of(hamiltonian_of(model))
    # Shapes are enough: the network has nothing but parameters.
    shapes = jax.eval_shape(ansatz.init, jax.random.key(0), example)["params"]
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _of_options(config, model, record, parameters):
    """Ansatz of a folder of format 1, which does not say it: full sums were tried with several."""
    import jax

    from hamiltonians import space_group
    from nnbf.drivers.methods import make_options
    from nnbf.drivers.sector_ansatz import make_lattice_ansatz
    from nnbf.drivers.sector_loop import RETRIES, with_determinants

    wanted = make_options(model.format, config["options"])
    where = {"spin_flip": record["spin_flip"]}
    sector = space_group(model).sector(tuple(record["momentum"]), record["irrep"], **where)
    if sector.dimension > 1:
        sector = space_group(model).sector(sector.momentum, sector.irrep, row=0, **where)
    if record["kind"] == "vmc":
        return make_lattice_ansatz(model, sector, wanted, "vmc")
    for attempt in range(RETRIES + 1):
        again = replace(wanted, seed=wanted.seed + 1000 * attempt)
        again = with_determinants(model, sector, again, int(record["level"]) + attempt)
        ansatz = make_lattice_ansatz(model, sector, again, "full-sum")
        leaves = jax.tree.leaves(_parameter_tree(ansatz, model))
        if [leaf.shape for leaf in leaves] == [leaf.shape for leaf in parameters]:
            return ansatz
    return None
