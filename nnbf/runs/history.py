"""history.jsonl: one whole line of JSON a step, appended as steps are made and taken back with them."""

import bisect
import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, one_line, reason_of
from hamiltonians.foreign import parse_json, read_text
from nnbf._io import json_line, write_bytes
from nnbf.runs.fields import ROW, Needed, require_fields

_MOST = 256_000_000  # bytes


class HistoryWriter:
    """Appends rows to a history file, and counts them.

    A row whose step is not after the last one's takes back the rows from that step on: the steps in
    the file always rise. Rows that cannot be written (a full disk) are kept and written later.

    The file is locked while it is open, so that no two processes work in one run folder.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and read what is in it up to the first line that is not whole.

        Raises:
            InputError: Another process has it open.
            OSError: It cannot be opened.
        """
        self._path = path
        self._open()
        self._waiting: list[dict[str, Any]] = []
        self.problem: str | None = None
        """Why rows could not be written at some time, if that was so."""

    @property
    def count(self) -> int:
        """Number of rows, those that wait to be written included."""
        return len(self._steps) + len(self._waiting)

    @property
    def last(self) -> dict[str, Any] | None:
        """The last row."""
        if self._waiting:
            return self._waiting[-1]
        if not self._ends:
            return None
        start = self._ends[-2] if len(self._ends) > 1 else 0
        return json.loads(os.pread(self._descriptor, self._ends[-1] - start, start))

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row, so that another program can follow.

        Raises:
            FileNotFoundError: The file is not in its place any more.
        """
        self._require_place()
        self.keep_before(row["step"])
        self._waiting.append(dict(row))
        self._write_waiting()

    def keep_before(self, step: int) -> None:
        """Take back the rows of this step and of all after it."""
        self._waiting = [row for row in self._waiting if row["step"] < step]
        if self._steps and self._steps[-1] >= step:
            kept = bisect.bisect_left(self._steps, step)
            del self._steps[kept:], self._ends[kept:]
            self._cut()

    def keep(self, wanted: Callable[[int, dict[str, Any]], bool]) -> None:
        """Keep some rows alone, with steps from 0 on: all at once, also where that is broken off.

        Args:
            wanted: Called with the place and the content of each row.

        Raises:
            InputError: Another process has opened the file meanwhile.
            OSError: It cannot be written.
        """
        rows = [json.loads(line) for line in self._path.read_bytes().splitlines()]
        kept = [row for place, row in enumerate(rows) if wanted(place, row)]
        if kept != rows[: len(kept)]:
            write_bytes(self._path, "".join(json_line({**row, "step": k}) for k, row in enumerate(kept)))
            os.close(self._descriptor)
            self._open()
        elif len(kept) < len(rows):
            self.keep_before(self._steps[len(kept)])

    def sync(self) -> None:
        """Make all rows survive a power cut.

        Raises:
            OSError: Rows are waiting that cannot be written, the file is not in its place any more, or the
                disk reports an error.
        """
        self._require_place()
        if not self._write_waiting():
            raise OSError(f"{self._path.name} cannot be written ({self.problem})")
        os.fsync(self._descriptor)

    def __enter__(self) -> "HistoryWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is waiting, as far as that is possible, and close the file."""
        with contextlib.suppress(OSError):
            self.sync()
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(self._descriptor, self._path)
            self._steps, self._ends = _whole_rows(self._path.read_bytes())
            self._cut()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _require_place(self) -> None:
        """Notice a folder that is removed or moved: what is written would go nowhere."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):
                return
        raise FileNotFoundError(errno.ENOENT, "the run folder was removed or moved while the run went on")

    def _write_waiting(self) -> bool:
        try:
            while self._waiting:
                line = json_line(self._waiting[0]).encode()
                start = self._ends[-1] if self._ends else 0
                written = 0
                while written < len(line):
                    written += os.pwrite(self._descriptor, line[written:], start + written)
                self._ends.append(start + len(line))
                self._steps.append(self._waiting.pop(0)["step"])
        except OSError as error:
            self.problem = reason_of(error)
            with contextlib.suppress(OSError):
                self._cut()
            return False
        return True

    def _cut(self) -> None:
        os.ftruncate(self._descriptor, self._ends[-1] if self._ends else 0)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a history file; a last line without an end is left out, a run may be writing it.

    Args:
        path: The file; where there is none, there are no rows.

    Raises:
        InputError: It cannot be read, or a line is no row.
    """
    try:
        *lines, _ = read_text(path, _MOST).split("\n")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({reason_of(error)}): give another run") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = parse_json(line)
                require_fields({"row": row}, {"row": Needed(ROW)}, "")
            except ValueError as error:
                reason = one_line(error)[:100]
                raise InputError(f"{path} is damaged (line {number}: {reason}): give another run") from error
            rows.append(row)
    return rows


def _whole_rows(content: bytes) -> tuple[list[int], list[int]]:
    """Return the steps up to the first line that is no row, and where in the file each row ends."""
    steps: list[int] = []
    ends: list[int] = []
    position = 0
    for line in content.split(b"\n")[:-1]:
        try:
            row = parse_json(line)
            require_fields({"row": row}, {"row": Needed({"step": ROW["step"]})}, "")
        except ValueError:
            break
        step = row["step"]
        if steps and step <= steps[-1]:
            break
        position += len(line) + 1
        steps.append(step)
        ends.append(position)
    return steps, ends


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"another process is working in {path.parent}: wait until it is done, or stop it first"
        ) from error
    except OSError:  # a network file system without locks
        return
