"""Work of all processes but the first: the same run, in a copy of its folder that is thrown away."""

import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hamiltonians.errors import InputError, one_line
from nnbf import _processes
from nnbf._runtime import load_netket
from nnbf.runs.directory import RunDirectory
from nnbf.runs.process import StopRequest

_NAMES = ("config.json", "system.npz", "start.npz", "history.jsonl", "result.json")
_FOLDERS = ("checkpoint", "states")
_PATIENCE = 20.0  # seconds for the first process to break off as this one did


def share(directory: RunDirectory, kind: str, **more: Any) -> None:
    """In the first of several processes: have the others do the same, now.

    They are sent what the folder holds (the integrals, the state to go on from), and need not see it.

    Args:
        directory: The run folder, ready to be gone on with.
        kind: What they do: run or evaluate.
        more: What they need to know besides, as JSON has it.

    Raises:
        InputError: The run has processes of its own.
    """
    if _processes.count() == 1 or not _processes.is_first():
        return
    limits = directory.read_config().get("limits") or {}
    if limits.get("workers", 1) > 1:
        raise InputError(f"workers are for one process, and these are {_processes.count()}: give workers 1")
    paths = [directory.path / name for name in _NAMES]
    paths += [file for name in _FOLDERS for file in sorted((directory.path / name).glob("*.npz"))]
    files = {str(path.relative_to(directory.path)): path.read_bytes() for path in paths if path.is_file()}
    _processes.send_files(kind, str(directory.path), files, **more)


def follow() -> int:
    """In the others: do what the first process says until it ends; return the exit code."""
    # Whoever asks for a stop asks the first process, which tells the others when they stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    load_netket()
    code = 0
    while (work := _processes.next_files()) is not None:
        what, files = work
        with TemporaryDirectory(prefix="nnbf-") as folder:
            _processes.keep_in(folder)
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
            code = _done(_WORK[what["kind"]], folder, what)
    return code


def _done(work: Callable[..., Any], folder: str, what: Mapping[str, Any]) -> int:
    from nnbf.runs.session import RunError

    try:
        work(folder, what)
    except (RunError, InputError, FloatingPointError) as error:
        # The first process breaks off for the same reason, and says so; else this one is missed.
        timer = threading.Timer(_PATIENCE, _processes.leave_alone, (one_line(error),))
        timer.daemon = True
        timer.start()
        return 1
    return 0


def _run(folder: str, what: Mapping[str, Any]) -> None:
    from nnbf.runs.run import plan_resumption, resume_run

    resume_run(plan_resumption(folder), stop=_Deaf())


def _evaluate(folder: str, what: Mapping[str, Any]) -> None:
    from nnbf.evaluation import EvaluationOptions
    from nnbf.runs.evaluate_run import evaluate_run

    evaluate_run(folder, EvaluationOptions(**what["options"]))


_WORK = {"run": _run, "evaluate": _evaluate}


class _Deaf(StopRequest):
    """Asks for no stop by itself, and leaves signals as they are."""

    def __enter__(self) -> "StopRequest":
        return self

    def __exit__(self, *error: object) -> None:
        pass
