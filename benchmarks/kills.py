"""Is a run that was killed the run that was not? Signals at random moments of every kind of run, then resume.

Each case starts a small run, sends it (or its whole group of processes) a signal at a random moment from
start-up on, counts what still runs ten seconds after its end, and goes on with the same run; of four one is
killed while it goes on, too. In the end history, states, result and tables are compared with those of a run
left in peace: bit by bit, without times. Moments are rows of the history, or shares of the time of the whole.
Most processes are forked from this one, which has imported what they need; a fifth of those that are killed
are programs of their own, so that start-up is hit, too. Linux.

    python benchmarks/kills.py                                   # 60 kills, about 125 small runs
    python benchmarks/kills.py --kills 6 --only spectrum sweep --seed 1
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np
from _measure import RESULTS, machine_line, provenance, write_json
from jax._src import xla_bridge

from nnbf._runtime import threads_environment
from nnbf._text import markdown_table as table

_SMALL = ("--features=2", "--depth=1", "--max-steps=30", "--quiet")
_TV = ("tv", "--size=3x2", "--particles=2", "--interaction=1")
_LIH = ("molecule", "LiH", "--no-references", "--hidden=8", "--checkpoint-interval=0", "--quiet")
RUNS: dict[str, tuple[str, ...]] = {
    "molecule": (*_LIH, "--n-determinants=1", "--max-space=12", "--max-steps=40"),
    "vmc": (*_LIH, "--method=vmc", "--n-samples=512", "--max-steps=25", "--precision=1e-3"),
    "full sum": ("lattice", *_TV, "--method=full-sum", *_SMALL),
    "lattice vmc": ("lattice", *_TV, "--method=vmc", "--n-samples=128", "--precision=1e-2", *_SMALL),
    "spectrum": ("spectrum", *_TV, "--workers=2", "--levels=2", "--irreps=none", *_SMALL),
    "charge": ("charge", *_TV, "--momenta=0,0", "--no-exact", *_SMALL),
    "sweep": ("sweep", "{manifest}", "--workers=2", "--quiet"),
    "evaluate": ("evaluate", "{out}", "--large=4", "--precision=1e-5", "--quiet"),
}
_MANIFEST = """
[base]
molecule = "H2"
max-steps = 12
[grid]
basis = ["sto-3g", "6-31g"]
"""
KILLS: dict[str, tuple[tuple[signal.Signals, ...], bool]] = {
    "SIGKILL": ((signal.SIGKILL,), False),
    "SIGTERM": ((signal.SIGTERM,), False),
    "SIGINT": ((signal.SIGINT,), False),
    "SIGINT twice": ((signal.SIGINT, signal.SIGINT), False),
    "SIGKILL of the group": ((signal.SIGKILL,), True),
    "SIGTERM of the group": ((signal.SIGTERM,), True),
    "SIGINT of the group": ((signal.SIGINT,), True),
}
_NO_MATTER = {
    "time_s", "wall_time_s", "created", "peak_memory_mb", "memory_mb", "started", "process_s", "timings",
}  # fmt: skip
_MARK, _LEFT_AFTER = "NNBF_KILLS_MARK", 10.0
_KILLED_AGAIN = 0.25  # share of the resumptions that are killed, too
_OF_THEIR_OWN = 0.2  # share of the kills that hit a program of its own
_MODULES = """
import importlib, pkgutil, sys, nnbf
found = [module.name for module in pkgutil.walk_packages(nnbf.__path__, "nnbf.")]
others = ("pyscf.gto", "pyscf.scf", "pyscf.mp", "pyscf.cc", "pyscf.fci", "matplotlib.pyplot")
for name in (*found, *others):
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(*(name for name in sys.modules if name.partition(".")[0] not in ("nnbf", "netket", "__main__")))
"""


@dataclass(frozen=True)
class Moment:
    """When a signal came."""

    how: str
    """The signal."""
    after_s: float
    """Seconds from the start of the process."""
    rows: int
    """Rows of the history that were there."""
    of: int
    """Rows of the whole run."""
    code: int
    """Exit code."""
    gone_s: float
    """Seconds from its end to that of the last process that it had started."""
    exec_: bool
    """True of a program of its own, false where everything was imported."""

    def __str__(self) -> str:
        return f"{self.how} after {self.after_s:.1f} s, {self.rows} of {self.of} rows (exit {self.code})"


class Child:
    """The program in a process that leads a group of its own."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], said: Path, *, exec_: bool
    ) -> None:
        """Start it, from the beginning or (not `exec_`) with everything imported; errors go to a file."""
        self._said = said
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 2)
                if exec_:
                    command = [sys.executable, "-m", "nnbf.cli", *words]
                    os.execve(sys.executable, command, {**os.environ, **environment})
                os.environ.update(environment)
                sys.argv = ["nnbf", *words]
                sys.modules["__main__"] = types.ModuleType("__main__")  # processes of its own import that
                code = import_module("nnbf.cli.main").main()
                threading._shutdown()  # type: ignore[attr-defined]
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        if self.code is None and (found := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.code = os.waitstatus_to_exitcode(found[1])
        return self.code

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        while self.poll() is None:
            time.sleep(0.01)
        return self.poll() or 0

    @property
    def said(self) -> str:
        """Errors that it has printed."""
        return self._said.read_text(errors="replace")


@dataclass
class Case:
    """A run that was killed, once or more, and what became of it."""

    run: str
    """Kind of run."""
    moments: list[Moment] = field(default_factory=list)
    """Its kills."""
    left: int = 0
    """Processes that still ran ten seconds after a kill."""
    problem: str = ""
    """Empty where it went on to the same bits."""

    @property
    def passed(self) -> bool:
        """True where nothing is wrong."""
        return not self.problem and not self.left

    def line(self) -> str:
        """As one line of text."""
        said = "; then ".join(map(str, self.moments))
        return f"{'ok  ' if self.passed else 'FAIL'} {self.run}: {said}: {self.problem or 'same bits'}"


@dataclass(frozen=True)
class Undisturbed:
    """A run left in peace."""

    folder: Path
    """Its folder."""
    content: dict[str, str]
    """What it found."""
    seconds: float
    """How long it took."""
    rows: int
    """Rows of its histories."""


@dataclass
class Kind:
    """A kind of run: how it starts, goes on, and what it finds when nothing disturbs it."""

    name: str
    place: Path
    dice: random.Random
    before: "Kind | None" = None
    """Run that makes the folder that this one works on."""
    count: int = field(default=0)

    def new_folder(self) -> Path:
        """A folder as it is before the start."""
        self.count += 1
        folder = self.place / f"{self.name.replace(' ', '_')}_{self.count}"
        if self.before is not None:
            shutil.copytree(self.before.undisturbed.folder, folder)
        return folder

    def words(self, folder: Path) -> list[str]:
        """Words that start it, or go on with what a kill has left."""
        if self.name not in ("evaluate", "sweep") and (folder / "config.json").exists():
            return ["resume", str(folder), "--quiet"]
        manifest = self.place / "manifest.toml"
        manifest.write_text(_MANIFEST)
        words = [word.format(manifest=manifest, out=folder) for word in RUNS[self.name]]
        return words if self.name == "evaluate" else [*words, "--out", str(folder)]

    def begin(self, folder: Path, mark: str = "", *, exec_: bool = False) -> Child:
        """Start it, or go on with it."""
        return Child(self.words(folder), {_MARK: mark}, self.place / "said", exec_=exec_)

    def run(self, folder: Path) -> tuple[int, str]:
        """Run the program to its end; return exit code and what it says."""
        child = self.begin(folder)
        return child.wait(), child.said

    @cached_property
    def undisturbed(self) -> Undisturbed:
        """The run that nothing disturbs.

        Raises:
            RuntimeError: It fails.
        """
        folder, started = self.new_folder(), time.monotonic()
        code, said = self.run(folder)
        if code != 0:
            raise RuntimeError(f"{self.name}: exit code {code}: {said}")
        return Undisturbed(folder, content(folder, self.name), time.monotonic() - started, _rows(folder))

    def case(self, hows: Sequence[str], most: int) -> Case:
        """Kill a run, and some of its resumptions, at most so often, and let it come to its end."""
        case, folder = Case(self.name), self.new_folder()
        while not self._kill(folder, self.dice.choice(hows), case):
            folder = self.new_folder()  # that one was done before
        while case.passed and len(case.moments) < most and self.dice.random() < _KILLED_AGAIN:
            self._kill(folder, self.dice.choice(hows), case)
        if case.passed:
            code, said = self.run(folder)
            case.problem = f"exit code {code}: {said[-200:]}" if code else ""
        if case.passed:
            case.problem = _different(content(folder, self.name), self.undisturbed.content)
        if case.passed:
            shutil.rmtree(folder)
        return case

    def _kill(self, folder: Path, how: str, case: Case) -> bool:
        """Kill the run at a random moment, unless it comes to its end before; false then."""
        known, (signals, of_group) = self.undisturbed, KILLS[how]
        mark, made, after = f"{folder.name}-{len(case.moments)}", _rows(folder), 0.0
        started = time.monotonic()
        exec_ = self.dice.random() < _OF_THEIR_OWN
        by_row = self.dice.random() < 0.6 and made < known.rows
        child = self.begin(folder, mark, exec_=exec_)
        if by_row:
            wanted = self.dice.randint(made, known.rows)
            while _rows(folder) < wanted and child.poll() is None:
                time.sleep(0.005)
            time.sleep(self.dice.uniform(0.0, 0.05))
        else:
            time.sleep(self.dice.uniform(0.01, 1.0) * known.seconds)
        after, rows = time.monotonic() - started, _rows(folder)
        if child.poll() is not None:
            return False
        for number in signals:
            if child.poll() is None:
                (os.killpg if of_group else os.kill)(child.pid, number)
                time.sleep(self.dice.uniform(0.05, 0.5) if len(signals) > 1 else 0.0)
        code, ended = child.wait(), time.monotonic()
        case.left += _left(mark)
        gone = time.monotonic() - ended
        case.moments.append(Moment(how, after, rows, known.rows, code, gone, exec_))
        # Before the program begins Python itself says what it was doing.
        if "Traceback" in child.said and ", in main\n" in child.said:
            case.problem = f"a traceback: {child.said[-300:]}"
        return True


def _rows(folder: Path) -> int:
    """Rows of the histories in a folder, also while they are written."""
    count = 0
    for path in folder.rglob("history.jsonl"):
        try:
            count += path.read_bytes().count(b"\n")
        except OSError:  # it was replaced
            continue
    return count


def _different(found: dict[str, str], expected: dict[str, str]) -> str:
    other = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"other bits: {', '.join(other)[:300]}" if other else ""


def content(folder: Path, name: str) -> dict[str, str]:
    """What a run has left, by file and key, without times and without what says how often it was resumed."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.json*")):
        file = str(path.relative_to(folder))
        if path.name in ("result.json", "evaluation.json"):
            result = json.loads(path.read_text())
            found |= {f"{file}:{key}": _text(value) for key, value in result.items() if key not in _NO_MATTER}
        elif path.name == "history.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            if [row["step"] for row in rows] != list(range(len(rows))):
                found[f"{file}:step"] = "steps are missing"
            if name == "spectrum":  # processes side by side mix their rows
                rows = sorted(({**row, "step": 0} for row in rows), key=lambda r: (r["sector"], r["level"]))
            found[file] = _text(rows)
    for path in folder.glob("sweep.csv"):
        found[path.name] = path.read_text()
    for path in [*folder.rglob("final.npz"), *folder.rglob("states/*.npz")]:
        digest = hashlib.sha256()
        with np.load(path) as arrays:
            for key in sorted(arrays.files):
                digest.update(key.encode() + arrays[key].tobytes())
        found[str(path.relative_to(folder))] = digest.hexdigest()
    return found


def _text(value: Any) -> str:
    return json.dumps(_timeless(value), sort_keys=True)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in _NO_MATTER}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _left(mark: str) -> int:
    """Processes with this mark that are still there after a while; they are ended."""
    until = time.monotonic() + _LEFT_AFTER
    while (found := _marked(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def _marked(mark: str) -> list[int]:
    wanted, found = f"{_MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def main() -> int:
    """Run the cases, write and print the table."""
    options = parse_arguments()
    # In the background of a shell Ctrl-C is ignored, and would be by what is started from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    about, dice = provenance(), random.Random(options.seed)
    cases: list[Case] = []
    scratch = tempfile.mkdtemp(dir=options.scratch)  # a context would end in children, too
    prepare(f"{scratch}/jax_cache")
    kinds = {name: Kind(name, Path(scratch), dice) for name in RUNS}
    kinds["evaluate"].before = kinds["molecule"]
    try:
        while (done := sum(len(case.moments) for case in cases)) < options.kills:
            kind = kinds[options.only[len(cases) % len(options.only)]]
            cases.append(kind.case(options.how, options.kills - done))
            print(cases[-1].line(), flush=True)
            minutes = round((time.monotonic() - started) / 60.0, 1)
            found = {"minutes": minutes, "cases": [asdict(case) for case in cases]}
            write_json(options.out, {"provenance": about, "seed": options.seed, **found})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text = f"{machine_line(about)}; {minutes} minutes.\n\n{_table(cases)}\n"
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    return 0 if all(case.passed for case in cases) else 1


def prepare(cache: str) -> None:
    """Import what runs need, with one thread and a cache of compiled programs; no device is taken.

    Raises:
        RuntimeError: One was taken: what is forked would not work.
    """
    settings = {
        "jax_compilation_cache_dir": os.environ.get("JAX_COMPILATION_CACHE_DIR", cache),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_platforms": "cpu",
    }
    variables = {key.upper(): str(value) for key, value in settings.items()}
    os.environ.update({**threads_environment(1), **variables, "MPLBACKEND": "agg"})
    for key, value in settings.items():
        jax.config.update(key, value)
    # NetKet takes the devices when it is imported: all but that, and what is built on it.
    modules = subprocess.run([sys.executable, "-c", _MODULES], stdout=subprocess.PIPE, text=True, check=True)
    for name in modules.stdout.split():
        with contextlib.suppress(Exception):  # parts of modules that are no modules
            import_module(name)
    if xla_bridge.backends_are_initialized():
        raise RuntimeError("JAX has begun to compute")


def _table(cases: Sequence[Case]) -> str:
    heads = ["run", "kills", "before its first row", "in its steps", "after its last row"]
    heads += ["runs", "same bits", "processes left after 10 s"]
    rows = []
    for name in [*dict.fromkeys(case.run for case in cases), "all"]:
        chosen = [case for case in cases if name in (case.run, "all")]
        moments = [moment for case in chosen for moment in case.moments]
        early, late = (
            sum(test(moment) for moment in moments)
            for test in (lambda m: m.rows == 0, lambda m: m.rows >= m.of)
        )
        same, left = sum(not case.problem for case in chosen), sum(case.left for case in chosen)
        counts = (len(moments), early, len(moments) - early - late, late, len(chosen), same, left)
        rows.append([name, *map(str, counts)])
    return table(heads, rows)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="number of kills (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of signals and moments (default 0)")
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS), help="kinds of runs")
    parser.add_argument("--how", nargs="+", choices=list(KILLS), default=list(KILLS), help="signals")
    parser.add_argument("--scratch", type=Path, help="folder for the runs (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=RESULTS / "kills.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
