"""What the fault tests share: the program as a child process, the undisturbed run, and what they compare."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hamiltonians import build_molecule

OPTIONS = (
    "--optimizer=sr", "--hidden=8", "--n-determinants=1", "--max-space=12", "--max-steps=40",
    "--checkpoint-interval=0", "--quiet",
)  # fmt: skip
"""A small run that carries momentum from step to step, changes V, and saves itself before every step."""

_CLOCKS = ("time_s",)
_TIMES_OUT = 1800.0


@dataclass(frozen=True)
class Case:
    """One kind of fault, and whether the run survived it."""

    name: str
    """What was done."""
    passed: bool
    """True where the run ended as it should: with the bits of the undisturbed run, or refused cleanly."""
    outcome: str
    """How it ended."""
    trials: int = 1
    """How many faults that were."""

    def line(self) -> str:
        """As one line of text."""
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name}: {self.outcome}"

    def record(self) -> dict[str, Any]:
        """As a dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class Bits:
    """What a run found, without anything that depends on the clock."""

    status: str
    """How it ended."""
    steps: int
    """Rows of its history."""
    energies: str
    """All energies of the result, as hexadecimal numbers."""
    wave_function: str
    """Digest of parameters and determinants."""
    history: str
    """Digest of the rows."""

    @classmethod
    def of(cls, folder: Path) -> "Bits":
        """Read a folder of a run that has ended."""
        result = json.loads((folder / "result.json").read_text())
        estimates = {kind: found["energy"].hex() for kind, found in sorted(result["estimates"].items())}
        energies = {"energy": result["energy"].hex(), "variance": result["variance"].hex(), **estimates}
        digest = hashlib.sha256()
        with np.load(folder / "checkpoint" / "final.npz") as arrays:
            for name in sorted(arrays.files):
                digest.update(name.encode() + arrays[name].tobytes())
        rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        steps = [row["step"] for row in rows]
        if steps != list(range(len(rows))):
            raise ValueError(f"the steps of the history are {steps}")
        timeless = [{key: row[key] for key in row if key not in _CLOCKS} for row in rows]
        text = json.dumps(timeless, sort_keys=True)
        return cls(
            result["status"],
            len(rows),
            json.dumps(energies),
            digest.hexdigest(),
            hashlib.sha256(text.encode()).hexdigest(),
        )

    def difference(self, other: "Bits") -> str:
        """Say in which of its parts this differs from another; empty for equal ones."""
        return ", ".join(name for name in asdict(self) if getattr(self, name) != getattr(other, name))


class Program:
    """Starts `nnbf` in child processes, which share compiled kernels."""

    def __init__(self, cache: Path) -> None:
        self._environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "JAX_PLATFORMS": "cpu",
            "MPLBACKEND": "agg",
        }

    @contextlib.contextmanager
    def running(self, *words: object) -> Iterator[subprocess.Popen]:
        """Start the program; what still runs at the end of the context is killed."""
        command = [sys.executable, "-m", "nnbf.cli", *map(str, words)]
        child = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        with child:
            try:
                yield child
            finally:
                child.kill()

    def run(self, *words: object) -> tuple[int, str]:
        """Run the program to its end; return exit code and what it says of errors and warnings."""
        with self.running(*words) as child:
            _, said = child.communicate(timeout=_TIMES_OUT)
            return child.returncode, said


class Lab:
    """A place for runs of one small molecule, and the run that nothing disturbs."""

    def __init__(self, place: Path, program: Program, dice: random.Random) -> None:
        self.place = place
        self.program = program
        self.dice = dice
        self.system = build_molecule("LiH", "sto-3g").save(place / "LiH.npz")
        self._count = 0

    def new_folder(self) -> Path:
        """Return a folder that does not exist."""
        self._count += 1
        return self.place / f"run_{self._count}"

    def said(self, text: str) -> str:
        """Return what a program said, shortened, with paths below the place of the runs."""
        return text.replace(f"{self.place}{os.sep}", "").strip()[-300:]

    def begin(self, folder: Path, *more: str) -> list[object]:
        """Return the words that start the run in a folder."""
        return ["fcidump", self.system, "--out", folder, *OPTIONS, *more]

    @cached_property
    def undisturbed(self) -> "Undisturbed":
        """The run that nothing disturbs, once with cold caches and once as all others."""
        for _ in range(2):
            folder = self.new_folder()
            started = time.monotonic()
            code, said = self.program.run(*self.begin(folder))
            if code != 0:
                raise RuntimeError(said)
        return Undisturbed(folder, Bits.of(folder), time.monotonic() - started)

    def resumed(self, name: str, folder: Path, trials: int = 1, note: str = "") -> Case:
        """Resume a run to its end, compare, and remove the folder."""
        code, said = self.program.run("resume", folder, "--quiet")
        return self.judged(name, folder, code, said, trials, note)

    def judged(self, name: str, folder: Path, code: int, said: str, trials: int = 1, note: str = "") -> Case:
        """Compare a run that has ended with the undisturbed one, and remove the folder."""
        if code != 0:
            return Case(name, False, f"exit code {code}: {self.said(said)}", trials)
        try:
            difference = Bits.of(folder).difference(self.undisturbed.bits)
        except (OSError, ValueError, KeyError) as error:
            return Case(name, False, f"cannot be compared: {error}", trials)
        shutil.rmtree(folder, ignore_errors=True)
        if difference:
            return Case(name, False, f"other bits: {difference}", trials)
        return Case(name, True, "same bits" + (f"; {note}" if note else ""), trials)


@dataclass(frozen=True)
class Undisturbed:
    """The run that nothing disturbs."""

    folder: Path
    """Its folder."""
    bits: Bits
    """What it found."""
    seconds: float
    """How long it took, start-up included."""

    def describe(self) -> str:
        """As one line of text."""
        options = " ".join(OPTIONS)
        return f"LiH/STO-3G {options}: {self.bits.steps} steps in {self.seconds:.0f} s ({self.bits.status})"


def rows_of(folder: Path) -> int:
    """Return how many whole rows the history of a run has by now."""
    try:
        return (folder / "history.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def wait_for_rows(child: subprocess.Popen, folder: Path, rows: int) -> bool:
    """Wait until the history has that many rows; False where the child ended before."""
    limit = time.monotonic() + _TIMES_OUT
    while rows_of(folder) < rows:
        if child.poll() is not None or time.monotonic() > limit:
            return False
        time.sleep(0.0005)
    return True
