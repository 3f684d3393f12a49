"""The trained state of a level in the folder of a lattice run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.runs._archive import DamagedFileError, read_archive
from nnbf.runs._nested import unflatten_nested
from nnbf.runs.directory import RunDirectory
from nnbf.runs.spectrum import SpectrumPlan, resumed_spectrum, sector_of, state_file

if TYPE_CHECKING:
    from hamiltonians import Sector
    from nnbf.ansatz import ProjectedBackflow


@dataclass(frozen=True, eq=False)
class TrainedLevel:
    """A level of a lattice model as a run left it."""

    directory: RunDirectory
    """The folder of the run."""
    plan: SpectrumPlan
    """Model, sectors and options of the run."""
    result: dict[str, Any]
    """Content of result.json."""
    record: dict[str, Any]
    """The entry of ``sectors`` in it."""
    name: str
    """Name of its file in states/, without the ending."""
    sector: "Sector"
    """Where it is."""
    ansatz: "ProjectedBackflow"
    """The network."""
    variables: Any
    """Its variables."""


def load_trained_level(folder: str | Path, state: str = "") -> TrainedLevel:
    """Read the parameters of a level that a run on a lattice has finished.

    Args:
        folder: The run folder.
        state: Name of a file in states/, without the ending; by default that of the lowest level.

    Raises:
        InputError: There is no such level, or the files do not fit together.
    """
    directory, plan = resumed_spectrum(folder)
    result = directory.read_result_or_none() or {}
    records = {state_file(directory, record).stem: record for record in result.get("sectors", ())}
    if not records:
        raise InputError(f"{directory.path} has no levels yet: 'nnbf resume {directory.path}' goes on")
    name = state.removesuffix(".npz") or min(records, key=lambda name: records[name]["energy"])
    if name not in records:
        raise InputError(f"there is no state {name!r} in {directory.path}: it has {', '.join(records)}")
    record = records[name]
    sector = sector_of(plan, record)
    path = state_file(directory, record)
    try:
        saved = unflatten_nested(read_archive(path))["parameters"]
    except (DamagedFileError, OSError, KeyError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"the parameters in {path} cannot be read: {reason}") from error
    ansatz, variables = _fitting(plan, sector, record, saved, path)
    return TrainedLevel(directory, plan, result, record, name, sector, ansatz, variables)


def _fitting(plan, sector, record, saved, path):
    """The ansatz that the parameters are of, with its variables."""
    import jax
    import jax.numpy as jnp

    from nnbf.drivers.snapshot import unpack_tree
    from nnbf.sampling import ordered_configuration

    example = jnp.asarray(ordered_configuration(plan.model))[None]
    wanted = [leaf.shape for leaf in saved]
    for ansatz in _candidates(plan, sector, record):
        # Shapes are enough: the network has nothing but parameters.
        shapes = jax.eval_shape(ansatz.init, jax.random.key(0), example)["params"]
        if [leaf.shape for leaf in jax.tree.leaves(shapes)] != wanted:
            continue
        like = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        try:
            return ansatz, {"params": unpack_tree(saved, like=like)}
        except ValueError as error:
            raise InputError(f"the parameters in {path} do not fit the run's options: {error}") from error
    raise InputError(f"the parameters in {path} do not fit the run's options: use its version of the program")


def _candidates(
    plan: SpectrumPlan, sector: "Sector", record: Mapping[str, Any]
) -> "Iterator[ProjectedBackflow]":
    """What the level may have been found with: full sums are tried again with more determinants."""
    from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
    from nnbf.drivers.spectrum import RETRIES, with_determinants

    if record["kind"] == "vmc":
        yield make_lattice_ansatz(plan.model, sector, plan.options, "vmc")
        return
    for attempt in range(RETRIES + 1):
        again = replace(plan.options, seed=plan.options.seed + 1000 * attempt)
        more = int(record["level"]) + attempt
        yield make_lattice_ansatz(
            plan.model, sector, with_determinants(plan.model, sector, again, more), "full-sum"
        )
