"""Go on with a run that ended, was stopped or was killed, from its last checkpoint."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf.runs.directory import RunDirectory
from nnbf.runs.history import HistoryWriter
from nnbf.runs.job import Job, read_job
from nnbf.runs.provenance import versions
from nnbf.runs.schema import is_lattice
from nnbf.runs.session import CompletedRun, OnLevel, OnRow, Session, Warn, cannot_write
from nnbf.runs.signals import StopRequest


@dataclass(frozen=True, eq=False)
class Resumption:
    """A run to go on with; `plan_resumption` makes one."""

    directory: RunDirectory
    """Its folder."""
    config: dict[str, Any]
    """The content of config.json, in format 2."""
    job: Job
    """What it computes, with the changes."""
    changes: dict[str, Any]
    """Limits that are new, by name of the option."""
    nothing_to_do: str | None
    """Why there is nothing to do, if that is so."""
    n_done: int = 0
    """Levels of a lattice that are done."""


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
    recorded = config["limits"] if is_lattice(config) else config["options"]
    changes: dict[str, Any] = {}
    if max_steps is not None:
        if is_lattice(config):
            raise InputError("levels of a lattice are resumed one by one: max_steps cannot be changed")
        changes["max_steps"] = max_steps
    if time_limit is not None:
        changes["time_limit"] = None if math.isinf(time_limit) and time_limit > 0 else time_limit
    changes = {name: value for name, value in changes.items() if value != recorded.get(name)}
    job = read_job(directory, config, **changes)
    result = directory.read_result_or_none() or {}
    done = _done(result.get("levels", ()), directory.checkpoints(config).load().snapshot)
    return Resumption(directory, config, job, changes, _why_done(job, result, done), len(done))


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
    directory, config = plan.directory, plan.config
    with stop or StopRequest() as request:
        try:
            opened = directory.history()
        except OSError as error:
            raise cannot_write(directory.path, error) from error
        with opened as history:
            store = directory.checkpoints(config)
            found = store.load()
            snapshot = found.snapshot
            before = (directory.read_result_or_none() or {}) if plan.job.is_lattice else {}
            done = _done(before.get("levels", ()), snapshot)
            step = _rows_before(directory, snapshot, done) if plan.job.is_lattice else _step(snapshot)
            if plan.changes.get("max_steps", step) < step:
                raise InputError(
                    f"the run has made {step} steps already: give at least that many as max_steps"
                )
            notes = [*found.problems, *_differences(config)]
            if found.problems and snapshot is None:
                notes.append("no checkpoint is whole: the run starts again from its first step")
            try:
                directory.remove_leftovers()
                notes += _cut_back(history, step)
                config = _with_session(config, plan, step, command_line)
                directory.write_config(config)
            except OSError as error:
                raise cannot_write(directory.path, error) from error
            if warn is not None:
                for note in notes:
                    warn(note)
            if on_start is not None:
                on_start(directory, step)
            session = Session(
                directory,
                config,
                plan.job,
                history,
                store,
                resume=snapshot,
                done=done,
                spent=float(before.get("wall_time_s") or _seconds(snapshot)),
                notes=tuple(notes),
            )
            return session.run(request, on_row=on_row, on_level=on_level, warn=warn)


def _step(snapshot: Mapping[str, Any] | None) -> int:
    return 0 if snapshot is None else int(snapshot["driver"]["step"])


def _seconds(snapshot: Mapping[str, Any] | None) -> float:
    return 0.0 if snapshot is None else float(snapshot.get("elapsed_s", 0.0))


def _done(
    levels: Sequence[Mapping[str, Any]], snapshot: Mapping[str, Any] | None
) -> tuple[dict[str, Any], ...]:
    """Levels that stay as they are.

    A level that was cut short is made again; a sampled one that had its share of the time counts, unless
    its chains are still there to go on with.
    """
    cut = None if snapshot is None else snapshot.get("sector")
    return tuple(
        dict(level)
        for level in levels
        if level["status"] in ("converged", "max_steps", "exact")
        or (level["status"] == "time_limit" and level["kind"] == "vmc" and cut != level["sector"]["label"])
    )


def _rows_before(
    directory: RunDirectory, snapshot: Mapping[str, Any] | None, done: Sequence[Mapping[str, Any]]
) -> int:
    """Rows of a lattice's history that stay: those before the checkpoint, or of levels that are done."""
    if snapshot is not None and "rows" in snapshot:
        return int(snapshot["rows"])
    known = {_place(level["sector"]["label"], level) for level in done}
    rows = directory.read_history()
    if snapshot is not None:  # of format 1
        return len(rows)
    while rows and _place(rows[-1].get("sector"), rows[-1]) not in known:
        rows.pop()
    return len(rows)


def _place(label: str | None, level: Mapping[str, Any]) -> tuple:
    """Sector and number of a level; its label may or may not say which row of an irrep was summed."""
    particles = level.get("particles")
    return (
        re.sub(r" row \d+", "", label or ""),
        level.get("level"),
        None if particles is None else tuple(particles),
    )


def _why_done(job: Job, result: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> str | None:
    if job.command == "charge":
        return "the run is complete: there is nothing to do" if "excitations" in result else None
    if job.is_lattice:
        return None if job.remaining(done) else f"{len(done)} levels done, nothing is missing"
    if result.get("status") == "converged":
        return "the run has converged: there is nothing to do"
    made = result.get("n_steps")
    if result.get("status") == "max_steps" and made is not None and made >= job.options.max_steps:
        return f"the run has made all of its {made} steps: give more of them with max_steps"
    return None


def _cut_back(history: HistoryWriter, step: int) -> list[str]:
    history.keep_before(step)
    if history.count == step:
        return []
    return [f"history.jsonl has {history.count} rows of the {step} steps before the checkpoint"]


def _differences(config: Mapping[str, Any]) -> list[str]:
    """Say which versions are others than those that the run was last worked on with."""
    sessions = config.get("resumed") or [config]
    before, now = sessions[-1].get("versions") or {}, versions()
    changed = [
        f"{name} {old} then, {now[name]} now" for name, old in before.items() if now.get(name, old) != old
    ]
    if not changed:
        return []
    return [f"the run goes on, but not to the same last bits, with other versions: {'; '.join(changed)}"]


def _with_session(
    config: Mapping[str, Any], plan: Resumption, step: int, command_line: str
) -> dict[str, Any]:
    """Return config.json with the new limits, and with a record of this resumption."""
    session = {
        "at": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command_line": command_line,
        "from_step": step,
        "changes": plan.changes,
        "versions": versions(),
    }
    changed = "limits" if plan.job.is_lattice else "options"
    return {
        **config,
        changed: {**config[changed], **plan.changes},
        "resumed": [*config.get("resumed", ()), session],
    }
