"""Levels of a lattice that an earlier session finished, as its calculation left them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.runs.checkpoint import load_checkpoint
from nnbf.runs.directory import RunDirectory

if TYPE_CHECKING:
    from hamiltonians import Lattice, Sector
    from nnbf.drivers.level import Level


def recalled_level(
    directory: RunDirectory,
    record: Mapping[str, Any],
    problem: "Lattice",
    sector: "Sector",
    options: Any,
) -> "Level":
    """Return a level by full summation, from its file and its record.

    Args:
        directory: The run folder.
        record: Record of the level.
        problem: The lattice, with the level's number of particles.
        sector: Sector of the level.
        options: Options of the run.

    Raises:
        InputError: The file is missing or damaged, does not say which network it is of, or does not fit.
    """
    import jax

    from nnbf.ansatz import ansatz_from_spec
    from nnbf.drivers.general import level_of_state
    from nnbf.drivers.monitor import unpack_tree
    from nnbf.drivers.sector_sum import sector_state

    path = directory.state_file(record)
    saved = load_checkpoint(path)
    if saved.network is None:
        raise InputError(f"{path} does not say which network it is of")
    state = sector_state(problem, sector, options, ansatz=ansatz_from_spec(saved.network))
    try:
        state.parameters = unpack_tree(jax.tree.leaves(saved.parameters), like=state.parameters)
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
