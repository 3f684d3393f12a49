"""Full disks: a small file system in memory, filled up and emptied while runs work on it."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from _faults import Case, Lab, wait_for_rows

_SIZE = "2m"


def disk_cases(lab: Lab) -> Iterator[Case]:
    """Take away the space before a run, during it, and until its end; then resume where that is left."""
    with small_disk(lab.place / "disk") as disk:
        medium = "tmpfs of 2 MiB" if disk is not None else "limit on the size of files"
        yield _never_any_space(lab, disk, medium)
        for rows in (1, 12, 25):
            yield _until_the_end(lab, disk, medium, rows)
        yield _for_a_while(lab, disk, medium)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """Mount a small tmpfs, or yield None where that is not allowed."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=False)


def _fill(disk: Path | None, child: subprocess.Popen) -> Callable[[], None]:
    """Leave no space to a child; return what gives it back."""
    if disk is None:
        _, hard = resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return lambda: _lift(child.pid, hard)
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    return ballast.unlink


def _lift(pid: int, hard: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def _never_any_space(lab: Lab, disk: Path | None, medium: str) -> Case:
    """A run that cannot begin is refused in one line, and leaves nothing."""
    name = f"full from the start ({medium})"
    folder = (disk or lab.place) / "never"
    with lab.program.running(*lab.begin(folder)) as child:
        free = _fill(disk, child)
        said = child.communicate()[1]
    free()
    clean = child.returncode == 2 and said.startswith("error: ") and said.count("\n") == 1
    return Case(name, clean and not folder.exists(), f"exit code {child.returncode}: {lab.said(said)}")


def _until_the_end(lab: Lab, disk: Path | None, medium: str, rows: int) -> Case:
    """A run whose disk fills up says so, fails, and goes on when there is space again."""
    name = f"full after {rows} rows, until the end ({medium})"
    folder = (disk or lab.place) / f"end_{rows}"
    with lab.program.running(*lab.begin(folder)) as child:
        wait_for_rows(child, folder, rows)
        free = _fill(disk, child)
        said = child.communicate()[1]
    told = "a checkpoint could not be written" in said and f"nnbf resume {folder}" in said
    free()
    if child.returncode != 1 or not told:
        shutil.rmtree(folder, ignore_errors=True)
        return Case(name, False, f"exit code {child.returncode}: {lab.said(said)}")
    return lab.resumed(name, folder, note="exit code 1 and the remedy before")


def _for_a_while(lab: Lab, disk: Path | None, medium: str) -> Case:
    """A run whose disk was full in the middle ends as if nothing had been."""
    name = f"full after 12 rows, space again before the end ({medium})"
    folder = (disk or lab.place) / "while"
    with lab.program.running(*lab.begin(folder)) as child:
        wait_for_rows(child, folder, 12)
        # The program stands still while the disk is filled and emptied, so that it has steps left.
        os.kill(child.pid, signal.SIGSTOP)
        free = _fill(disk, child)
        os.kill(child.pid, signal.SIGCONT)
        line = child.stderr.readline() if child.stderr is not None else ""
        free()
        said = line + child.communicate()[1]
    return lab.judged(name, folder, child.returncode, said, note="said so, and lost nothing")
