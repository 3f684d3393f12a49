"""The command `nnbf sweep`: all the runs that a manifest describes, and one table of them."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hamiltonians.errors import InputError, reason_of
from nnbf._io import read_json
from nnbf._options import Checked, Positive, Workers
from nnbf._runtime import import_environment, threads_environment
from nnbf._text import value_with_error
from nnbf.analysis import findings_sections
from nnbf.cli.console import Progress, clock, say_error
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.parsing import option_fields, parse_command
from nnbf.sweep import (
    Point,
    PointRun,
    PointState,
    SlurmOptions,
    SweepObserver,
    SweepPlan,
    Vocabulary,
    last_row,
    milli_error,
    plan_sweep,
    require_unchanged,
    run_as_jobs,
    run_locally,
)
from nnbf.sweep.point_records import point_records
from nnbf.sweep.sweep_folder import locked
from nnbf.sweep.table import points_table

_EXAMPLES = (
    "nnbf sweep runs/n2_curve.toml --dry-run",
    "nnbf sweep runs/n2_curve.toml --workers 2",
    'nnbf sweep runs/h2_basis_limit.toml --only "*tz*" --out runs/try',
    "nnbf sweep runs/n2_curve.toml --slurm --slurm-partition cpu --slurm-time 120",
)
_MOST_LINES = 12  # points shown at a time
_OWN = ("out", "config", "dry_run", "quiet", "start_from")  # what the sweep gives its points itself


@dataclass(frozen=True)
class SweepTarget:
    """What to run."""

    manifest: str
    """TOML file that describes the points; see docs/sweeps.md."""


@dataclass(frozen=True)
class SweepOptions(Checked):
    """Where, how many at a time, and what is printed."""

    out: str | None = None
    """Folder of the sweep, with a run folder for each point; left out: runs/<name of the sweep>."""
    workers: Workers = 1
    """Points computed side by side, each with its share of the CPU threads."""
    only: str | None = None
    """Work on the points whose names match this pattern (* and ?)."""
    time_limit: Positive | None = None
    """Stop after this many seconds; points save themselves, and the same command goes on later."""
    warm_start: bool = False
    """Points of a scan start from the trained states of their neighbours; left out: as the manifest says."""
    remake: bool = False
    """Delete and make anew points whose folders hold other calculations than the manifest says."""
    dry_run: bool = False
    """List the points and their commands, and write nothing."""
    quiet: bool = False
    """Print only the final table."""


@dataclass(frozen=True)
class SweepCommand:
    """Run all points of a manifest: molecules, geometries, basis sets, seeds, options.

    What is done is skipped, what is half done is resumed, what fails is listed at the end. The same command
    goes on after any interruption.
    """

    target: SweepTarget
    """What to run."""
    options: SweepOptions = field(default_factory=SweepOptions)
    """Where, how many at a time, and what is printed."""
    cluster: SlurmOptions = field(default_factory=SlurmOptions)
    """Jobs of a cluster instead of processes here."""


def sweep(arguments: Sequence[str], program: Sequence[str] | None = None) -> int:
    """Run `nnbf sweep` and return its exit code.

    Args:
        arguments: What follows on the command line.
        program: What computes a point; by default this program.
    """
    command = parse_command(SweepCommand, arguments, prog="nnbf sweep", examples=_EXAMPLES)
    options = command.options
    if command.cluster.slurm and options.workers > 1:
        raise InputError("workers are processes of this machine: with slurm give slurm_parallel")
    flags = [word.replace("_", "-") for word in arguments]
    plan = plan_sweep(
        command.target.manifest,
        vocabularies(),
        out=options.out,
        only=options.only,
        warm_start=options.warm_start if {"--warm-start", "--no-warm-start"} & {*flags} else None,
    )
    if options.dry_run:
        return _show_plan(plan)
    if options.remake:
        _clear_changed(plan)
    require_unchanged(plan.folder, plan.chosen)
    words = tuple(program or (sys.executable, *(["-P"] if import_environment() else []), "-m", "nnbf.cli"))
    try:
        return _run(plan, options, command.cluster, words)
    except OSError as error:
        say_error(
            f"the sweep broke off: {reason_of(error)} ({error.filename or plan.folder.path}); "
            "the same command goes on"
        )
        return FAILED


def vocabularies() -> dict[str, Vocabulary]:
    """Return the commands that a sweep can run, with their options."""
    from nnbf.cli.commands import SOLVING

    found = {}
    for name, (kind, _) in SOLVING.items():
        if name != "charge":
            options = {key: option for key, option in option_fields(kind).items() if key not in _OWN}
            found[name] = Vocabulary(name, options)
    return found


def _show_plan(plan: SweepPlan) -> int:
    states = [plan.folder.state(point) for point in plan.chosen]
    done = sum(state.done for state in states)
    print(f"{plan.name}: {len(plan.chosen)} points in {plan.folder.path}, {done} done")
    width = max(len(point.name) for point in plan.chosen)
    for point, state in zip(plan.chosen, states, strict=True):
        start = "" if point.after is None else f"  (from {point.after})"
        print(f"  {point.name:<{width}}  {state.status:<10}  {shlex.join(['nnbf', *point.words])}{start}")
    print("dry run: nothing was written")
    return DONE


def _clear_changed(plan: SweepPlan) -> None:
    for point in plan.chosen:
        if plan.folder.state(point).status != "changed":
            continue
        plan.folder.make()
        with locked(plan.folder.lock_file(point), wait=False) as free:
            if not free:
                raise InputError(f"another process works on {point.name}: wait until it is done, or stop it")
            plan.folder.clear(point)


def _run(plan: SweepPlan, options: SweepOptions, cluster: SlurmOptions, program: tuple[str, ...]) -> int:
    from nnbf.runs import StopRequest

    progress = _SweepProgress(plan, quiet=options.quiet)
    stop = StopRequest(announce=progress.announce_stop)
    end = None if options.time_limit is None else time.monotonic() + options.time_limit

    def should_stop() -> bool:
        if end is not None and time.monotonic() > end and stop.reason is None:
            stop.request("time limit")
        return stop()

    shared: Any = {"should_stop": should_stop, "observer": progress}
    left: list[str] = []
    with stop, progress.following():
        if cluster.slurm:
            states, left = run_as_jobs(plan, program, cluster, **shared)
        else:
            environment = _shared_machine(options.workers) if options.workers > 1 else {}
            states = run_locally(plan, program, workers=options.workers, environment=environment, **shared)
    _print_tables(plan, progress)
    if left:
        print(
            f"jobs that are still there: {' '.join(left)} (scancel stops them; the same command follows them)"
        )
    return _conclude(plan, states)


def _shared_machine(workers: int) -> dict[str, str]:
    """Return the variables that give each worker its share of CPU threads and GPU memory."""
    environment = threads_environment(max(1, len(os.sched_getaffinity(0)) // workers))
    share = "XLA_PYTHON_CLIENT_MEM_FRACTION"  # by default JAX takes three quarters for one process
    return environment if share in os.environ else {**environment, share: f"{0.9 / workers:.3f}"}


def _print_tables(plan: SweepPlan, progress: Progress) -> None:
    progress.tables([points_table(plan, point_records(plan))])
    pictures: list[str] = []
    for section in findings_sections(read_json(plan.folder.path / "sweep.json")["analysis"]):
        progress.say(f"\n{section.title}:")
        for block in section.blocks:
            if block.heading:
                progress.say(block.heading)
            if block.table is not None and not progress.quiet:
                progress.tables([block.table])
            for note in block.notes:
                progress.say(f"* {note}")
            pictures += [str(plan.folder.path / name) for name in block.pictures]
    progress.say(f"\ntables  {plan.folder.path / 'sweep.csv'}, .json, .md")
    if pictures:
        progress.say(f"pictures  {', '.join(dict.fromkeys(pictures))}")


def _conclude(plan: SweepPlan, states: dict[str, PointState]) -> int:
    failed = {name: state for name, state in states.items() if state.status in ("failed", "changed")}
    open_ones = [name for name, state in states.items() if not state.done and name not in failed]
    for point in plan.chosen:
        if point.name in failed:
            say_error(f"{point.name}: {failed[point.name].reason} (see {plan.folder.log_file(point)})")
    if failed:
        say_error(f"{len(failed)} of {len(states)} points failed; the same command tries them again")
    if open_ones:
        say_error(f"{len(open_ones)} of {len(states)} points are not done; the same command goes on")
    return FAILED if failed or open_ones else DONE


class _SweepProgress(Progress, SweepObserver):
    """One view of a whole sweep on a terminal, plain lines elsewhere."""

    def __init__(self, plan: SweepPlan, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._plan = plan
        self._states = {point.name: plan.folder.state(point) for point in plan.chosen}
        self._over = {name for name, state in self._states.items() if state.done}
        self._runs: Sequence[PointRun] = ()
        self.say(f"{plan.name}: {len(plan.chosen)} points in {plan.folder.path}, {len(self._over)} done")

    def started(self, point: Point, resumed: bool) -> None:
        """Say that a point begins."""
        if not self.console.is_terminal:
            self.say(f"{'resume' if resumed else 'start'}  {point.name}")

    def ended(self, point: Point, state: PointState) -> None:
        """Say how a point ended."""
        self._states[point.name] = state
        if state.done or state.status == "failed":
            self._over.add(point.name)
        self.say(f"[{len(self._over)}/{len(self._plan.chosen)}] {point.name}  {_outcome(state)}")

    def elsewhere(self, points: Sequence[Point]) -> None:
        """Say what is waited for."""
        names = ", ".join(point.name for point in points[:3]) + (" ..." if len(points) > 3 else "")
        self.say(f"waiting for another process that works on {names}")

    def running(self, runs: Sequence[PointRun]) -> None:
        """Take note of what is being computed."""
        self._runs = list(runs)

    def announce_stop(self, reason: str) -> None:
        """Say that a request to stop was heard."""
        self.say(f"{reason}: points save themselves and stop (Ctrl-C again: at once)")

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        failed = sum(state.status == "failed" for state in self._states.values())
        head = Table.grid(padding=(0, 2))
        counts = f"{len(self._over)}/{len(self._plan.chosen)}" + (f", {failed} failed" if failed else "")
        bar = ProgressBar(total=len(self._plan.chosen), completed=len(self._over), width=24)
        head.add_row(bar, counts, clock(time.monotonic() - self._started))
        lines = [Text(self._line(run), no_wrap=True, overflow="ellipsis") for run in self._runs[:_MOST_LINES]]
        return Group(head, *lines)

    def _line(self, run: PointRun) -> str:
        row = last_row(self._plan.folder.run(run.point)) or {}
        parts = [f"  {run.point.name}"]
        if row.get("step") is not None:
            parts.append(f"step {row['step']}")
        if row.get("energy") is not None:
            parts.append(f"E {value_with_error(row['energy'], row.get('energy_error'))}")
        return "  ".join([*parts, clock(time.monotonic() - run.started)])


def _outcome(state: PointState) -> str:
    """Return how a point ended, on one line."""
    if state.result is None:
        return state.status + (f": {state.reason}" if state.reason else "")
    parts = []
    energy, error = state.result.get("energy"), state.result.get("energy_error")
    if energy is not None:
        parts.append(f"E {value_with_error(energy, error)}")
    if (error := milli_error(state.result)) is not None:
        parts.append(f"{error[0]:+.4f} e-3 to {error[1]}")
    return "  ".join([*parts, state.status, clock(state.result.get("wall_time_s") or 0.0)])
