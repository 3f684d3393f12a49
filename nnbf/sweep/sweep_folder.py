"""The folder of a sweep on disk: run folders, logs, a record of each point, and their tables."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, reason_of
from hamiltonians.foreign import parse_json
from nnbf._io import read_json, write_json
from nnbf.runs.schema import load_result
from nnbf.sweep.points import Point

FINAL = ("converged", "max_steps", "time_limit")
"""States of runs that are done: their own limits, given in the manifest, included."""

PASSED_OVER = "passed_over"
"""Key of the record of a point that has failed by itself: others do not start from it, also if it is made
later on."""
_STUB = ("system.npz", "start.npz", "history.jsonl")


@dataclass(frozen=True)
class PointState:
    """Progress of a point."""

    status: str
    """One of `FINAL`; failed; unfinished (it can be resumed); missing (not begun); changed (its folder holds
    another calculation)."""
    result: Mapping[str, Any] | None = None
    """The content of result.json, of a point that is done."""
    reason: str | None = None
    """Why it failed."""

    @property
    def done(self) -> bool:
        """True where nothing is left to do."""
        return self.status in FINAL


@dataclass(frozen=True)
class SweepFolder:
    """The files of a sweep."""

    path: Path
    """The folder: each point has a run folder in it, and the tables stand beside them."""

    def run(self, point: Point) -> Path:
        """Run folder of a point."""
        return self.path / point.name

    def log_file(self, point: Point) -> Path:
        """Output of the program, from all attempts."""
        return self.path / "logs" / f"{point.name}.log"

    def record_file(self, point: Point) -> Path:
        """Record of what was started, and how it ended if it failed."""
        return self.path / ".points" / f"{point.name}.json"

    def lock_file(self, point: Point) -> Path:
        """Locked while a process works on the point."""
        return self.path / ".points" / f"{point.name}.lock"

    @property
    def table_lock(self) -> Path:
        """Locked while the tables are written."""
        return self.path / ".points" / ".tables"

    @property
    def jobs(self) -> Path:
        """Files of submitit."""
        return self.path / ".jobs"

    def make(self) -> None:
        """Make the folder.

        Raises:
            InputError: It cannot be made.
        """
        try:
            for folder in (self.path / "logs", self.path / ".points"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make {self.path}: {reason_of(error)}; give another folder as out"
            ) from error

    def record(self, point: Point) -> dict[str, Any]:
        """Return the record of a point; empty where there is none."""
        try:
            return read_json(self.record_file(point))
        except InputError:
            return {}

    def write_record(self, point: Point, **changes: Any) -> None:
        """Change the record of a point, atomically."""
        shared = {
            "digest": point.digest,
            "options": point.options,
            "command": list(point.words),
            "warm_start": point.after is not None,
        }
        write_json(self.record_file(point), {**self.record(point), **shared, **changes})

    def state(self, point: Point) -> PointState:
        """Return how far a point is, from nothing but the files."""
        record = self.record(point)
        run = self.run(point)
        if record and record.get("digest") != point.digest:
            return PointState("changed", reason=_difference(point, record))
        if not record and run.is_dir() and any(run.iterdir()):
            return PointState("changed", reason="the folder holds something that this sweep did not make")
        begun = (run / "config.json").is_file()
        result = result_of(run) if begun else {}
        if result.get("status") in FINAL:
            return PointState(str(result["status"]), result)
        failure = record.get("failure")
        if failure:
            return PointState("failed", reason=str(failure))
        return PointState("unfinished" if begun else "missing")

    def clear(self, point: Point) -> None:
        """Remove everything of a point but its lock."""
        run = self.run(point)
        if run.is_symlink():
            run.unlink()
        elif run.exists():
            shutil.rmtree(run)
        for file in (self.record_file(point), self.log_file(point)):
            file.unlink(missing_ok=True)

    def remove_stub(self, point: Point) -> None:
        """Remove what a run left that was killed before it could be resumed."""
        run = self.run(point)
        if not run.is_dir() or run.is_symlink():
            return
        files = list(run.iterdir())
        if all(file.name in _STUB or (file.name[0] == "." and file.suffix == ".tmp") for file in files):
            shutil.rmtree(run)


def require_unchanged(folder: SweepFolder, points: Iterable[Point]) -> None:
    """Refuse to mix calculations of different manifests in one folder.

    Raises:
        InputError: Some run folders hold other calculations than the points of their names.
    """
    changed = [(point, state) for point in points if (state := folder.state(point)).status == "changed"]
    if changed:
        point, state = changed[0]
        count = "1 point has" if len(changed) == 1 else f"{len(changed)} points have"
        raise InputError(
            f"{count} another calculation in {folder.path}, such as {point.name} ({state.reason}): "
            "give another folder as out, or give remake to delete and make them anew"
        )


def result_of(run: Path) -> dict[str, Any]:
    """Return the result of a run folder, in the layout of `nnbf.runs.schema`; empty where there is none."""
    try:
        return load_result(run)
    except InputError:
        return {}


def last_row(run: Path) -> dict[str, Any] | None:
    """Return the last row of a run's history, if there is one."""
    lines = end_of_file(run / "history.jsonl", 8192).split(b"\n")
    try:
        row = parse_json(lines[-2]) if len(lines) > 1 else None
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def end_of_file(path: Path, size: int) -> bytes:
    """Return the last bytes of a file, at most `size`; none where it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - size))
            return stream.read()
    except OSError:
        return b""


def _difference(point: Point, record: Mapping[str, Any]) -> str:
    before = record.get("options") or {}
    command = (record.get("command") or [point.words[0]])[0]
    if command != point.words[0]:
        return f"the command was {command} and is {point.words[0]}"
    for key in dict.fromkeys((*point.options, *before)):
        old, new = before.get(key), point.options.get(key)
        if old != new:
            name = key.replace("_", "-")
            return f"{name} was {_shown(old)} and is {_shown(new)}"
    warm = record.get("warm_start", False)
    if before and warm != (point.after is not None):
        return "it started from its neighbour" if warm else "it did not start from its neighbour"
    return "a file that it reads has changed"


def _shown(value: Any) -> str:
    return "not given" if value is None else json.dumps(value, ensure_ascii=False)


# ---- locks ----------------------------------------------------------------------------------------


def take_lock(path: Path, *, wait: bool = False) -> int | None:
    """Lock a file, made where it is missing, and return it open; None where another process holds the lock.

    `filelock` does not do here: the program that computes a point inherits the open file, so that a sweep
    that is killed leaves its points locked for as long as they are still being computed, and no longer.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a network file system without locks
        pass
    return descriptor


def release_lock(descriptor: int) -> None:
    """Let others have a lock, also where a process that has inherited it is still there."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    with contextlib.suppress(OSError):
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock for a moment; the value of the context is false where another process has it."""
    descriptor = take_lock(path, wait=wait)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            release_lock(descriptor)
