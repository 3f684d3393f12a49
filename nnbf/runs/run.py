"""Runs in folders: begin one, or go on with one that ended, was stopped or was killed."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from hamiltonians.formats.fcidump import FileSpec
from hamiltonians.molecule.spec import MoleculeSpec
from nnbf.runs.checkpoint import INTERVAL, CheckpointStore, Found, save_checkpoint
from nnbf.runs.directory import RunDirectory, default_folder, require_free
from nnbf.runs.history import HistoryWriter
from nnbf.runs.job import Job, level_key, read_job, sector_key
from nnbf.runs.prepared_start import PreparedStart, prepare_start
from nnbf.runs.process import StopRequest, versions
from nnbf.runs.record import config_record
from nnbf.runs.schema import is_lattice
from nnbf.runs.session import CompletedRun, OnLevel, OnRow, Session, Warn, cannot_write

if TYPE_CHECKING:
    from hamiltonians import Molecule


def run_molecule(
    problem: MoleculeSpec,
    options: Any = None,
    *,
    out: str | Path | None = None,
    **rest: Any,
) -> CompletedRun:
    """Build a molecule and solve it in a run folder; see `run_system`.

    Example:
        >>> run = run_molecule(MoleculeSpec("H2"))  # doctest: +SKIP
        >>> run.result["energy"]  # doctest: +SKIP
    """
    if out is not None:
        require_free(out)  # before the time that building takes
    return run_system(problem.build(), options, out=out, problem=problem, **rest)


def run_system(
    system: "Molecule",
    options: Any = None,
    *,
    problem: object | None = None,
    method: str = "selected",
    start_from: str | Path | PreparedStart | None = None,
    **rest: Any,
) -> CompletedRun:
    """Solve a molecular system and write a run folder; see `run_job`.

    Args:
        system: What to solve.
        options: How to solve it; by default the method's own options.
        problem: Data class that `system` was built from, for config.json.
        method: Name of the method, such as selected or vmc.
        start_from: Run folder whose trained state is where this run starts: a neighbouring geometry, to whose
            orbitals those of `system` are turned. What is needed of it is copied.
        rest: Further arguments of `run_job`.

    Raises:
        InputError: As `run_job`, or solver and start do not fit.
    """
    from nnbf.drivers.methods import make_options

    options = make_options(system.format) if options is None else options
    if isinstance(start_from, str | Path):
        start_from = prepare_start(start_from, system, options)
    if start_from is not None:
        system = start_from.system
    elif system.format == "molecular-system":
        from nnbf.drivers.lowest_sector import in_lowest_sector

        # Before the folder: what it holds, and what is solved, have one reference determinant.
        system = in_lowest_sector(system, options)
    command = "fcidump" if isinstance(problem, FileSpec) else "molecule"
    job = Job(command, system, options, method=method, described=problem)
    return run_job(job, start=start_from, **rest)


def run_job(
    job: Job,
    *,
    out: str | Path | None = None,
    command_line: str = "",
    checkpoint_interval: float = INTERVAL,
    on_start: Callable[[RunDirectory], None] | None = None,
    on_row: OnRow | None = None,
    on_level: OnLevel | None = None,
    warn: Warn | None = None,
    stop: StopRequest | None = None,
    start: PreparedStart | None = None,
) -> CompletedRun:
    """Compute the levels of a problem and write a run folder.

    Ctrl-C and SIGTERM end the run after the current step, with a result; a second Ctrl-C ends it at
    once, with the history so far. Whatever ends it, `resume_run` goes on.

    Args:
        job: What to compute.
        out: The folder; by default one under runs/, named after the problem.
        command_line: What the user typed, for config.json.
        checkpoint_interval: Seconds between checkpoints; 0 saves before every step.
        on_start: Called with the folder before the first step.
        on_row: Called with every row of the history.
        on_level: Called with the record of each level of a lattice.
        warn: Told at once of what goes wrong without ending the run.
        stop: Asks for a stop; by default one that listens to signals.
        start: State to start from, for molecules.

    Raises:
        InputError: The folder is taken or cannot be written, or options and problem do not fit
            (nothing is left behind).
        RunError: Solving broke off.
        KeyboardInterrupt: On a second Ctrl-C, after the records were written.
    """
    job.require()
    config = config_record(
        job,
        command_line=command_line,
        checkpoint_interval=checkpoint_interval,
        start=None if start is None else start.record,
    )
    directory = RunDirectory.create(default_folder(job.words) if out is None else out)
    with stop or StopRequest() as request, _claimed_history(directory) as history:
        try:
            # A folder with a config.json can be resumed: it comes last.
            directory.write_problem(job.problem)
            if start is not None and start.checkpoint is not None:
                begin = start.checkpoint
                save_checkpoint(directory.start_file, begin.parameters, begin.determinants, begin.network)
            directory.write_config(config)
        except (OSError, InputError) as error:
            directory.discard()
            if isinstance(error, InputError):
                raise
            raise cannot_write(directory.path, error) from error
        if on_start is not None:
            on_start(directory)
        store = directory.checkpoints(config)
        try:
            return Session(directory, config, job, history, store, request, on_row, on_level, warn).run()
        except InputError:
            if history.count == 0:
                directory.discard()
            raise


@dataclass(frozen=True, eq=False)
class Resumption:
    """A run to go on with; `plan_resumption` makes one."""

    directory: RunDirectory
    """Its folder."""
    config: dict[str, Any]
    """The content of config.json, in format 2."""
    job: Job
    """The job, with the changes."""
    changes: dict[str, Any]
    """Limits that are new, by name of the option."""
    store: CheckpointStore
    """Its checkpoints."""
    found: Found
    """The newest of them."""
    result: dict[str, Any]
    """The content of result.json, empty where there is none."""

    @cached_property
    def done(self) -> tuple[dict[str, Any], ...]:
        """Records of levels of a lattice that stay as they are.

        A level that was cut short is made again; a sampled one that had its share of the time counts, unless
        its chains are still there to go on with.
        """
        if not self.job.is_lattice:
            return ()
        cut = (self.found.snapshot or {}).get("sector")
        done = [
            dict(level)
            for level in self.result.get("levels", ())
            if level["status"] in ("converged", "max_steps", "exact")
            or (
                level["status"] == "time_limit" and level["kind"] == "vmc" and cut != level["sector"]["label"]
            )
        ]
        if getattr(self.job.limits, "workers", 1) > 1:
            # A process of its own makes all levels of a sector.
            missing = {sector_key(sector) for sector in self.job.remaining(done)}
            done = [level for level in done if level_key(level)[:-1] not in missing]
        return tuple(done)

    @property
    def n_done(self) -> int:
        """Levels of a lattice that are done."""
        return len(self.done)

    @property
    def nothing_to_do(self) -> str | None:
        """Why there is nothing to do, if that is so."""
        result, job = self.result, self.job
        if job.command == "charge":
            return "the run is complete: there is nothing to do" if "excitations" in result else None
        if job.is_lattice:
            # All levels may be there, and the run have been killed before that was written.
            open_ = job.remaining(self.done) or result.get("status") in ("interrupted", "failed")
            return None if open_ else f"{self.n_done} levels done, nothing is missing"
        if result.get("status") == "converged":
            return "the run has converged: there is nothing to do"
        made = result.get("n_steps")
        if result.get("status") == "max_steps" and made is not None and made >= job.options.max_steps:
            return f"the run has made all of its {made} steps: give more of them with max_steps"
        return None

    @property
    def n_rows(self) -> int:
        """Rows of the history that stay: those before the checkpoint, or of levels that are done."""
        snapshot = self.found.snapshot
        if not self.job.is_lattice:
            return 0 if snapshot is None else int(snapshot["driver"]["step"])
        if snapshot is not None and "rows" in snapshot:
            return int(snapshot["rows"])
        rows = self.directory.read_history()
        return sum(self.keeps(place, row) for place, row in enumerate(rows))

    def keeps(self, place: int, row: Mapping[str, Any]) -> bool:
        """Whether a row of the history stays.

        Args:
            place: Its number, from 0.
            row: Its content.
        """
        snapshot = self.found.snapshot
        if not self.job.is_lattice or (snapshot is not None and "rows" in snapshot):
            return place < self.n_rows
        return snapshot is not None or _place(row.get("sector"), row) in self._places  # None: of format 1

    @cached_property
    def _places(self) -> set[tuple]:
        return {_place(level["sector"]["label"], level) for level in self.done}

    @property
    def spent(self) -> float:
        """Seconds of earlier sessions."""
        known = self.result.get("wall_time_s") if self.job.is_lattice else None
        return float(known or (self.found.snapshot or {}).get("elapsed_s", 0.0))


def plan_resumption(
    folder: str | Path, *, max_steps: int | None = None, time_limit: float | None = None
) -> Resumption:
    """Look at a run folder and see what is left to do; nothing is written.

    Args:
        folder: The run folder.
        max_steps: New number of most steps, those made already included; left out: as recorded.
        time_limit: New time limit, in seconds from now, infinite for none; left out: that which is
            recorded, counted from now.

    Raises:
        InputError: There is no run in the folder, or it is damaged, or a limit makes no sense.
    """
    directory = RunDirectory.open(folder)
    config = directory.read_config()
    if not config["options"] or not (config["method"] or is_lattice(config)):
        raise InputError(f"{directory.config_file} is not that of a run that can be resumed")
    changes: dict[str, Any] = {}
    if max_steps is not None:
        if is_lattice(config):
            raise InputError("levels of a lattice are resumed one by one: max_steps cannot be changed")
        changes["max_steps"] = max_steps
    if time_limit is not None:
        changes["time_limit"] = None if math.isinf(time_limit) and time_limit > 0 else time_limit
    recorded = config[_limited(config)]
    changes = {name: value for name, value in changes.items() if value != recorded.get(name)}
    job, store = read_job(directory, config, **changes), directory.checkpoints(config)
    result = directory.read_result_or_none() or {}
    return Resumption(directory, config, job, changes, store, store.load(), result)


def resume_run(
    plan: Resumption,
    *,
    command_line: str = "",
    on_start: Callable[[RunDirectory, int], None] | None = None,
    on_row: OnRow | None = None,
    on_level: OnLevel | None = None,
    warn: Warn | None = None,
    stop: StopRequest | None = None,
) -> CompletedRun:
    """Go on from the last checkpoint that is whole, or from the start where there is none.

    The history is cut back to the step of the checkpoint, and levels that are done are kept. On the same
    machine, with the same versions and number of threads, the run goes on bit by bit as if it had never
    stopped.

    Args:
        plan: What `plan_resumption` returned, with something left to do.
        command_line: What the user typed, for config.json.
        on_start: Called with the folder and the number of steps made before the first step.
        on_row: Called with every row of the history.
        on_level: Called with the record of each level of a lattice.
        warn: Told at once of what goes wrong without ending the run.
        stop: Asks for a stop; by default one that listens to signals.

    Raises:
        InputError: Another process is working in the folder, it cannot be written, or its files do
            not fit together.
        RunError: Solving broke off.
        KeyboardInterrupt: On a second Ctrl-C, after the records were written.
    """
    directory = plan.directory
    with stop or StopRequest() as request, _opened_history(directory) as history:
        if tuple(plan.store.files()) != plan.found.files:  # another process went on in the meantime
            result = directory.read_result_or_none() or {}
            plan = replace(plan, found=plan.store.load(), result=result)
        step, found = plan.n_rows, plan.found
        if plan.changes.get("max_steps", step) < step:
            raise InputError(f"the run has made {step} steps already: give at least that many as max_steps")
        notes = [*found.problems, *_differences(plan.config)]
        if found.problems and found.snapshot is None:
            notes.append("no checkpoint is whole: the run starts again from its first step")
        config = _with_session(plan, step, command_line)
        try:
            directory.remove_leftovers()
            history.keep(plan.keeps)
            directory.write_config(config)
        except OSError as error:
            raise cannot_write(directory.path, error) from error
        if history.count != step:
            notes.append(f"history.jsonl has {history.count} rows of the {step} steps before the checkpoint")
        if warn is not None:
            for note in notes:
                warn(note)
        if on_start is not None:
            on_start(directory, step)
        return Session(
            directory,
            config,
            plan.job,
            history,
            plan.store,
            request,
            on_row,
            on_level,
            warn,
            resume=found.snapshot,
            done=plan.done,
            spent=plan.spent,
            notes=tuple(notes),
        ).run()


def _claimed_history(directory: RunDirectory) -> HistoryWriter:
    try:
        return directory.claim()
    except (OSError, InputError) as error:
        directory.leave()
        if isinstance(error, InputError):
            raise
        raise cannot_write(directory.path, error) from error


def _opened_history(directory: RunDirectory) -> HistoryWriter:
    try:
        return directory.history()
    except OSError as error:
        raise cannot_write(directory.path, error) from error


def _limited(config: Mapping[str, Any]) -> str:
    """Key of config.json under which the limits stand."""
    return "limits" if is_lattice(config) else "options"


def _place(label: str | None, level: Mapping[str, Any]) -> tuple:
    """Sector and number of a level; its label may or may not say which row of an irrep was summed."""
    particles = level.get("particles")
    return (
        re.sub(r" row \d+", "", label or ""),
        level.get("level"),
        None if particles is None else tuple(particles),
    )


def _differences(config: Mapping[str, Any]) -> list[str]:
    """A warning where versions are others than those that the run was last worked on with."""
    sessions = config.get("resumed") or [config]
    before, now = sessions[-1].get("versions") or {}, versions()
    changed = [
        f"{name} {old} then, {now[name]} now" for name, old in before.items() if now.get(name, old) != old
    ]
    if not changed:
        return []
    return [f"the run goes on, but not to the same last bits, with other versions: {'; '.join(changed)}"]


def _with_session(plan: Resumption, step: int, command_line: str) -> dict[str, Any]:
    """Return config.json with the new limits, and with a record of this resumption."""
    config, limited = plan.config, _limited(plan.config)
    session = {
        "at": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command_line": command_line,
        "from_step": step,
        "changes": plan.changes,
        "versions": versions(),
    }
    return {
        **config,
        limited: {**config[limited], **plan.changes},
        "resumed": [*config.get("resumed", ()), session],
    }
