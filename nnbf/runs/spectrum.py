"""Spectra in a run folder: each level is written as soon as it is there, sectors are resumed one by one."""

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from hamiltonians.errors import InputError
from hamiltonians.lattice.lattice_spec import LatticeSpec
from nnbf._options import Checked, Positive, Workers
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.methods import make_options
from nnbf.runs.checkpoint import Checkpointing, network_spec, save_checkpoint
from nnbf.runs.directory import RunDirectory
from nnbf.runs.provenance import git_state, hardware, versions
from nnbf.runs.sector_choice import SectorChoice

if TYPE_CHECKING:
    from hamiltonians import Lattice, Sector

LATTICE_COMMANDS = ("spectrum", "lattice")
"""What config.json says of such folders: several sectors, or one."""


@dataclass(frozen=True)
class LatticeLimits(Checked):
    """Limits of a run on a lattice."""

    time_limit: Positive | None = None
    """Stop after this many seconds; levels that are done are kept, and 'nnbf resume' goes on."""
    exact_limit: Annotated[int, Ge(0)] = 200_000
    """Sectors up to this many states are diagonalised exactly, for comparison; 0: none."""


@dataclass(frozen=True)
class SpectrumLimits(LatticeLimits):
    """Limits of a spectrum."""

    workers: Workers = 1
    """Processes that solve sectors side by side, each with one thread (on the CPU)."""


@dataclass(frozen=True, eq=False)
class SpectrumPlan:
    """A spectrum that is about to start or to go on."""

    model: "Lattice"
    """The model."""
    sectors: "tuple[Sector, ...]"
    """All sectors asked for."""
    choice: SectorChoice
    """How many levels of each."""
    options: LatticeOptions
    """Network and optimiser."""
    limits: LatticeLimits
    """Limits."""
    done: tuple[dict[str, Any], ...] = ()
    """Levels that an earlier session finished."""
    snapshot: dict[str, Any] | None = None
    """The driver in the middle of the next sector, where that is sampled and was cut short."""

    def n_levels(self, sector: "Sector") -> int:
        """Levels wanted of a sector: no more than it has states."""
        return min(self.choice.levels, sector.n_states)

    @property
    def n_wanted(self) -> int:
        """Levels wanted of all sectors."""
        return sum(self.n_levels(sector) for sector in self.sectors)

    def remaining(self) -> "list[Sector]":
        """Sectors of which a level is missing."""
        counts: dict[tuple, int] = {}
        for record in self.done:
            counts[_key(record)] = counts.get(_key(record), 0) + 1
        return [
            sector for sector in self.sectors if counts.get(_sector_key(sector), 0) < self.n_levels(sector)
        ]


def plan_spectrum(
    problem: LatticeSpec, choice: SectorChoice, options: LatticeOptions, limits: LatticeLimits
) -> SpectrumPlan:
    """Build the model and find its sectors.

    Raises:
        InputError: Something of it makes no sense, or a sector is too large to be summed.
    """
    model = problem.build()
    options.require_model(model)
    sectors = tuple(choice.sectors(model))
    for sector in sectors:
        method = options.method_for(sector.n_states)
        if method == "vmc" and choice.levels > 1:
            raise InputError(
                f"sector {sector.label} has {sector.n_states:,} states and is sampled: one level a sector, "
                "give --levels 1, an irrep, or a larger --full-sum-limit"
            )
        options.require_sector(sector)
        if options.orbitals is not None or options.total_spin is not None:
            # Orbitals without a part in the sector are refused before anything is written.
            from nnbf.drivers.sector_ansatz import make_lattice_ansatz

            make_lattice_ansatz(model, sector, options, method)
    return SpectrumPlan(model, sectors, choice, options, limits)


def spectrum_config(
    problem: LatticeSpec,
    choice: SectorChoice,
    options: LatticeOptions,
    limits: LatticeLimits,
    command_line: str,
    command: str = "spectrum",
) -> dict[str, Any]:
    """The content of config.json."""
    return {
        **lattice_config(problem, options, command_line, command),
        "sectors": asdict(choice),
        "limits": asdict(limits),
    }


def lattice_config(
    problem: LatticeSpec, options: LatticeOptions, command_line: str, command: str
) -> dict[str, Any]:
    """What config.json says of every run on a lattice."""
    return {
        "command": command,
        "run": secrets.token_hex(8),
        "command_line": command_line,
        "problem": asdict(problem),
        "solver": asdict(options),
        "seed": options.seed,
        "versions": versions(),
        "git": git_state(),
        "hardware": hardware(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def is_spectrum(folder: str | Path) -> bool:
    """Whether a folder holds a spectrum."""
    return command_of(folder) in LATTICE_COMMANDS


def command_of(folder: str | Path) -> str | None:
    """Command that made a run folder, None where that is not known."""
    path = Path(folder).expanduser()
    if not (path / "config.json").is_file():
        return None
    return RunDirectory.open(path).read_config().get("command")


def resumed_spectrum(
    folder: str | Path, time_limit: float | None = None
) -> tuple[RunDirectory, SpectrumPlan]:
    """Return the plan of a spectrum that is not complete.

    Args:
        folder: Its run folder.
        time_limit: A new limit; by default the old one, from now.

    Raises:
        InputError: There is none in the folder.
    """
    directory = RunDirectory.open(folder)
    config = directory.read_config()
    try:
        of_command = SpectrumLimits if config["command"] == "spectrum" else LatticeLimits
        limits = of_command(**config["limits"])
        if time_limit is not None:
            limits = replace(limits, time_limit=time_limit)
        plan = plan_spectrum(
            LatticeSpec(**config["problem"]),
            SectorChoice(**config["sectors"]),
            make_options("lattice", config["solver"]),
            limits,
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{directory.config_file} is not that of a spectrum ({error}): start anew"
        ) from error
    before = directory.read_result_or_none() or {}
    snapshot = directory.checkpoints(config).load().snapshot
    cut = {_sector_key(s) for s in plan.sectors if snapshot is not None and s.label == snapshot["sector"]}
    # A level that was cut short is made again; a sampled one that had its share of the time counts, unless
    # its chains are still there to go on with.
    done = tuple(
        r
        for r in before.get("sectors", ())
        if r["status"] in ("converged", "max_steps")
        or (r["status"] == "time_limit" and r["kind"] == "vmc" and _key(r) not in cut)
    )
    plan = replace(plan, limits=limits, done=done)
    # Sectors that are made again start from their first level.
    following = plan.remaining()
    missing = {_sector_key(sector) for sector in following}
    plan = replace(plan, done=tuple(record for record in done if _key(record) not in missing))
    if snapshot is not None and following and snapshot["sector"] == following[0].label:
        plan = replace(plan, snapshot=snapshot)
    return directory, plan


def run_spectrum(
    plan: SpectrumPlan,
    directory: RunDirectory,
    config: Mapping[str, Any],
    *,
    on_level: Callable[[dict[str, Any]], None] | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Compute what is missing; result.json is written after each level.

    Args:
        plan: What to compute.
        directory: The folder, with its config.json.
        config: The content of config.json.
        on_level: Called with the record of each level.
        on_row: Called with the row of every step.
        should_stop: Asked after every step; true ends the run with what there is.

    Returns:
        The content of result.json.
    """
    from nnbf.drivers.monitor import Monitor
    from nnbf.drivers.sector_loop import spectrum

    started = time.monotonic()
    before = directory.read_result_or_none() or {}
    spent = float(before.get("wall_time_s", 0.0))
    records = list(plan.done)
    with directory.history() as history:

        def step(row):
            history.append({**row, "step": history.count})
            if on_row is not None:
                on_row(row)

        def finished(level):
            record = {**level.record(), **_measured(plan, config, level)}
            write_state(directory, record, (level.parameters, network_spec(level.model)))
            records.append(record)
            directory.write_result(_result(plan, records, config, spent + time.monotonic() - started, None))
            if on_level is not None:
                on_level(record)

        saved = Checkpointing(directory.checkpoints(config), history)
        monitor = Monitor(step, should_stop, save=saved, resume=plan.snapshot, on_level=finished)
        spectrum(
            plan.model,
            plan.remaining(),
            plan.options,
            levels=plan.choice.levels,
            exact_limit=plan.limits.exact_limit,
            monitor=monitor.within(plan.limits.time_limit),
            workers=getattr(plan.limits, "workers", 1),
        )
    result = _result(plan, records, config, spent + time.monotonic() - started, should_stop)
    directory.write_result(result)
    return result


def _measured(plan: SpectrumPlan, config: Mapping[str, Any], level: Any) -> dict[str, Any]:
    """Observables of the one state of `nnbf lattice`."""
    if config["command"] != "lattice":
        return {}
    from nnbf.drivers.level_observables import level_observables

    found = level_observables(plan.model, level)
    return {"observables": None if found is None else found.record()}


def state_file(directory: RunDirectory, record: Mapping[str, Any]) -> Path:
    """File with the parameters of a level."""
    parts = [f"{record['momentum'][0]}-{record['momentum'][1]}", record["irrep"] or ""]
    parts.append({None: "", 1: "even", -1: "odd"}[record["spin_flip"]])
    parts.append(str(record["level"]))
    name = "_".join(part for part in parts if part).replace("'", "p")
    return directory.path / "states" / f"{name}.npz"


def write_state(directory: RunDirectory, record: Mapping[str, Any], state: tuple[Any, Any]) -> None:
    """Write parameters and network of a level; a full disk costs the run nothing but them."""
    path = state_file(directory, record)
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        parameters, network = state
        save_checkpoint(path, parameters, network=network)


def _result(plan, records, config, seconds, should_stop) -> dict[str, Any]:
    order = {_sector_key(sector): place for place, sector in enumerate(plan.sectors)}
    records = sorted(records, key=lambda record: (order[_key(record)], record["level"]))
    lowest = min(records, key=lambda record: record["energy"], default=None)
    references = [record["reference"] for record in records if record["reference"] is not None]
    if len(records) == plan.n_wanted:
        poor = [record["status"] for record in records if record["status"] != "converged"]
        status = poor[0] if poor else "converged"
    else:
        # Without `should_stop` the run goes on: what a killed one leaves says so.
        status = "interrupted" if should_stop is None or should_stop() else "time_limit"
    return {
        "command": config["command"],
        **headline(lowest),
        "energy_unit": "t",
        "observables": None if lowest is None else lowest.get("observables"),
        "s_squared": _s_squared(lowest),
        "sectors": [{k: v for k, v in record.items() if k != "observables"} for record in records],
        "n_levels_wanted": plan.n_wanted,
        "references": {"ed": min(references) if references else None},
        "system": plan.model.to_dict(),
        "status": status,
        "wall_time_s": seconds,
        "seed": plan.options.seed,
        "versions": config["versions"],
    }


def headline(lowest: Mapping[str, Any] | None) -> dict[str, Any]:
    """What result.json says of its lowest level."""
    of_lowest = ("energy", "variance", "v_score", "n_parameters")
    if lowest is None:
        found: dict[str, Any] = dict.fromkeys((*of_lowest, "energy_kind", "energy_error", "sector"))
        return {**found, "estimates": {}}
    estimates = {lowest["kind"]: {key: lowest[key] for key in ("energy", "error")}}
    if "vmc" in lowest:
        # Sampled anew by `nnbf evaluate`.
        estimates["vmc"] = lowest["vmc"]
    return {
        **{key: lowest[key] for key in of_lowest},
        "energy_kind": lowest["kind"],
        "energy_error": lowest["error"],
        "estimates": estimates,
        "sector": {key: lowest.get(key) for key in ("momentum", "irrep", "spin_flip", "total_spin", "level")},
    }


def sector_of(plan: SpectrumPlan, record: Mapping[str, Any]) -> "Sector":
    """The sector of a level."""
    return next(sector for sector in plan.sectors if _sector_key(sector) == _key(record))


def _s_squared(record: Mapping[str, Any] | None) -> float | None:
    found = None if record is None else (record.get("observables") or {}).get("s_squared")
    return None if found is None else found["value"]


def _key(record: Mapping[str, Any]) -> tuple:
    return (*record["momentum"], record["irrep"], record["spin_flip"])


def _sector_key(sector: "Sector") -> tuple:
    return (*sector.momentum, sector.irrep, sector.spin_flip)
