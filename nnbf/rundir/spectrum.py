"""Spectra in a run folder: each level is written as soon as it is there, sectors are resumed one by one."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.rundir.directory import RunDirectory
from nnbf.rundir.lattice_problem import LatticeProblem, SectorChoice
from nnbf.rundir.provenance import git_state, versions

if TYPE_CHECKING:
    from hamiltonians import LatticeModel, Sector

COMMAND = "spectrum"
"""What config.json says of such folders."""


@dataclass(frozen=True)
class SpectrumLimits:
    """Limits of a spectrum."""

    time_limit: float | None = None
    """Stop after this many seconds; levels that are done are kept, and 'nnbf resume' goes on."""
    exact_limit: int = 200_000
    """Sectors up to this many states are diagonalised exactly, for comparison; 0: none."""

    def __post_init__(self) -> None:
        """Check the limits."""
        if self.time_limit is not None and not self.time_limit > 0:
            raise InputError(f"time_limit must be positive, got {self.time_limit}")
        if self.exact_limit < 0:
            raise InputError(f"exact_limit must be at least 0, got {self.exact_limit}")


@dataclass(frozen=True, eq=False)
class SpectrumPlan:
    """A spectrum that is about to start or to go on."""

    model: "LatticeModel"
    """The model."""
    sectors: "tuple[Sector, ...]"
    """All sectors asked for."""
    choice: SectorChoice
    """How many levels of each."""
    options: LatticeOptions
    """Network and optimiser."""
    limits: SpectrumLimits
    """Limits."""
    done: tuple[dict[str, Any], ...] = ()
    """Levels that an earlier session finished."""

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
    problem: LatticeProblem, choice: SectorChoice, options: LatticeOptions, limits: SpectrumLimits
) -> SpectrumPlan:
    """Build the model and find its sectors.

    Raises:
        InputError: Something of it makes no sense, or a sector is too large to be summed.
    """
    model = problem.build()
    sectors = tuple(choice.sectors(model))
    for sector in sectors:
        if sector.n_states > options.full_sum_limit:
            raise InputError(
                f"sector {sector.label} has {sector.n_states:,} states, more than full_sum_limit "
                f"({options.full_sum_limit:,}): choose irreps, a smaller lattice, or a larger limit"
            )
    return SpectrumPlan(model, sectors, choice, options, limits)


def spectrum_config(
    problem: LatticeProblem,
    choice: SectorChoice,
    options: LatticeOptions,
    limits: SpectrumLimits,
    command_line: str,
) -> dict[str, Any]:
    """The content of config.json."""
    return {
        "command": COMMAND,
        "command_line": command_line,
        "problem": asdict(problem),
        "sectors": asdict(choice),
        "solver": asdict(options),
        "limits": asdict(limits),
        "seed": options.seed,
        "versions": versions(),
        "git": git_state(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def is_spectrum(folder: str | Path) -> bool:
    """Whether a folder holds a spectrum."""
    path = Path(folder).expanduser()
    if not (path / "config.json").is_file():
        return False
    return RunDirectory.open(path).read_config().get("command") == COMMAND


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
        limits = SpectrumLimits(**config["limits"])
        solver = {**config["solver"], "cell": tuple(config["solver"]["cell"])}
        if time_limit is not None:
            limits = SpectrumLimits(time_limit, limits.exact_limit)
        plan = plan_spectrum(
            LatticeProblem(**config["problem"]),
            SectorChoice(**config["sectors"]),
            LatticeOptions(**solver),
            limits,
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{directory.config_file} is not that of a spectrum ({error}): start anew"
        ) from error
    before = directory.read_result_or_none() or {}
    # A level that was cut short is made again.
    done = tuple(r for r in before.get("sectors", ()) if r["status"] in ("converged", "max_steps"))
    plan = SpectrumPlan(plan.model, plan.sectors, plan.choice, plan.options, limits, done)
    # Sectors that are made again start from their first level.
    missing = {_sector_key(sector) for sector in plan.remaining()}
    kept = tuple(record for record in done if _key(record) not in missing)
    return directory, SpectrumPlan(plan.model, plan.sectors, plan.choice, plan.options, limits, kept)


def run_spectrum(
    plan: SpectrumPlan,
    directory: RunDirectory,
    config: Mapping[str, Any],
    *,
    on_level: Callable[[dict[str, Any]], None] | None = None,
    on_step: Callable[["Sector", int, dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Compute what is missing; result.json is written after each level.

    Args:
        plan: What to compute.
        directory: The folder, with its config.json.
        config: The content of config.json.
        on_level: Called with the record of each level.
        on_step: Called with sector, level and a row of numbers after every step.
        should_stop: Asked after every step; true ends the run with what there is.

    Returns:
        The content of result.json.
    """
    from nnbf.drivers.spectrum import solve_spectrum

    started = time.monotonic()
    before = directory.read_result_or_none() or {}
    spent = float(before.get("wall_time_s", 0.0))
    records = list(plan.done)
    with directory.history() as history:

        def step(sector, level, row):
            history.append({**row, "step": history.count, "sector": sector.label, "level": level})
            if on_step is not None:
                on_step(sector, level, row)

        levels = solve_spectrum(
            plan.model,
            plan.remaining(),
            plan.options,
            levels=plan.choice.levels,
            exact_limit=plan.limits.exact_limit,
            time_limit=plan.limits.time_limit,
            on_step=step,
            should_stop=should_stop,
        )
        for record in levels:
            records.append(record)
            result = _result(plan, records, config, spent + time.monotonic() - started, should_stop)
            directory.write_result(result)
            if on_level is not None:
                on_level(record)
    result = _result(plan, records, config, spent + time.monotonic() - started, should_stop)
    directory.write_result(result)
    return result


def _result(plan, records, config, seconds, should_stop) -> dict[str, Any]:
    order = {_sector_key(sector): place for place, sector in enumerate(plan.sectors)}
    records = sorted(records, key=lambda record: (order[_key(record)], record["level"]))
    lowest = min(records, key=lambda record: record["energy"], default=None)
    references = [record["reference"] for record in records if record["reference"] is not None]
    if len(records) == plan.n_wanted:
        poor = any(record["status"] != "converged" for record in records)
        status = "max_steps" if poor else "converged"
    else:
        status = "interrupted" if should_stop is not None and should_stop() else "time_limit"
    of_lowest = ("energy", "variance", "v_score", "n_parameters")
    return {
        "command": COMMAND,
        **{key: None if lowest is None else lowest[key] for key in of_lowest},
        "energy_kind": "full_sum",
        "energy_error": 0.0,
        "energy_unit": "t",
        "sector": None if lowest is None else {key: lowest[key] for key in ("momentum", "irrep", "level")},
        "sectors": records,
        "n_levels_wanted": plan.n_wanted,
        "references": {"ed": min(references) if references else None},
        "system": plan.model.to_dict(),
        "status": status,
        "wall_time_s": seconds,
        "seed": plan.options.seed,
        "versions": config["versions"],
    }


def _key(record: Mapping[str, Any]) -> tuple:
    return (*record["momentum"], record["irrep"], record["spin_flip"])


def _sector_key(sector: "Sector") -> tuple:
    return (*sector.momentum, sector.irrep, sector.spin_flip)
