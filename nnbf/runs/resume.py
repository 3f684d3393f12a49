"""Go on with a run that ended, was stopped or was killed, from its last checkpoint."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.drivers.methods import make_options
from nnbf.runs.directory import RunDirectory
from nnbf.runs.history import HistoryWriter
from nnbf.runs.provenance import versions
from nnbf.runs.session import CompletedRun, OnStep, Session, Warn, cannot_write
from nnbf.runs.signals import StopRequest

if TYPE_CHECKING:
    from hamiltonians import Molecule


@dataclass(frozen=True, eq=False)
class Resumption:
    """A run to go on with; `plan_resumption` makes one."""

    directory: RunDirectory
    """Its folder."""
    config: dict[str, Any]
    """The content of config.json."""
    options: Any
    """The recorded options, with the changes."""
    changes: dict[str, Any]
    """Limits that are new, by name of the option."""
    nothing_to_do: str | None
    """Why there is nothing to do, if that is so."""


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
    if "options" not in config or "method" not in config:
        raise InputError(f"{directory.config_file} is not that of a run that can be resumed")
    recorded = make_options("molecule", config["options"], method=config["method"])
    given: dict[str, Any] = {}
    if max_steps is not None:
        given["max_steps"] = max_steps
    if time_limit is not None:
        given["time_limit"] = None if math.isinf(time_limit) and time_limit > 0 else time_limit
    changes = {name: value for name, value in given.items() if value != getattr(recorded, name)}
    options = replace(recorded, **changes)
    reason = _why_done(directory, options.max_steps)
    if reason is None and not directory.system_file.is_file():
        raise InputError(f"{directory.path} has no {directory.system_file.name}: start the run anew")
    return Resumption(directory, config, options, changes, reason)


def resume_run(
    plan: Resumption,
    system: "Molecule | None" = None,
    *,
    command_line: str = "",
    on_start: Callable[[RunDirectory, int], None] | None = None,
    on_step: OnStep | None = None,
    warn: Warn | None = None,
    stop: StopRequest | None = None,
) -> CompletedRun:
    """Go on from the last checkpoint that is whole, or from the start where there is none.

    The history is cut back to the step of the checkpoint. On the same machine, with the same versions
    and number of threads, the run goes on bit by bit as if it had never stopped.

    Args:
        plan: What `plan_resumption` returned, with something left to do.
        system: That of the run, where the caller has read it already.
        command_line: What the user typed, for config.json.
        on_start: Called with the folder and the number of steps made before the first step.
        on_step: Called with every row of the history.
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
            step = 0 if snapshot is None else int(snapshot["driver"]["step"])
            if plan.changes.get("max_steps", step) < step:
                raise InputError(
                    f"the run has made {step} steps already: give at least that many as --max-steps"
                )
            notes = [*found.problems, *_differences(config)]
            if found.problems and snapshot is None:
                notes.append("no checkpoint is whole: the run starts again from its first step")
            try:
                directory.remove_leftovers()
                notes += _cut_back(history, step)
                if system is None:
                    system = directory.read_system()
                config = _with_session(config, plan, step, command_line)
                directory.write_config(config)
            except OSError as error:
                raise cannot_write(directory.path, error) from error
            if warn is not None:
                for note in notes:
                    warn(note)
            if on_start is not None:
                on_start(directory, step)
            session = Session(directory, config, system, plan.options, history, store, snapshot, tuple(notes))
            return session.run(request, on_step=on_step, warn=warn)


def _why_done(directory: RunDirectory, max_steps: int) -> str | None:
    result = directory.read_result_or_none() or {}
    if result.get("status") == "converged":
        return "the run has converged: there is nothing to do"
    made = result.get("n_steps")
    if result.get("status") == "max_steps" and made is not None and made >= max_steps:
        return f"the run has made all of its {made} steps: give more of them with --max-steps"
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
    options = {**config["options"], **plan.changes}
    return {**config, "options": options, "resumed": [*config.get("resumed", ()), session]}
