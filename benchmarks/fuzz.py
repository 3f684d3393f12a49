"""Damaged and hostile files, thousands of them, given to every reader: each is read, or refused in one line.

All readers run in this process, under a limit of memory and one of time for each file. Payloads that would
leave a marker file are planted among the inputs. A sample goes through the command line:

    nice python benchmarks/fuzz.py --count 3000 --seed 0      # a few minutes
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hamiltonians import InputError, load_problem
from nnbf.cli.console import _short
from nnbf.runs.checkpoint import _MARK, _TAIL

FOLDERS = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "folders"
SECONDS, MOST_BYTES = 20.0, 2_000_000_000
TOKENS = (
    b"9" * 400, b"9" * 5000, b"-1", b"1e999", b"NaN", b"\xc2\xb2", b"null", b"[]", b"{}", b'""', b"true",
    b"[" * 100_000, b"{" * 3000, b'{"a":' * 50_000, b"(" * 300, b"\x00", b"\xff\xfe", b"\x80", b"a." * 60_000,
    b"1.5", b"18446744073709551616", b"3*1000000000", b"{r:>2000000000}", b"{r.__class__}", b"\r", b"&", b"/",
)  # fmt: skip
"""What takes the place of words and numbers."""
VALUES = (
    None,
    True,
    -1,
    2**63,
    10**39,
    1e300,
    "",
    "x",
    "\u00b2",
    [],
    [[]],
    {},
    {"#array": {}},
    {"kind": "array"},
)
"""What takes the place of values of JSON."""


class TooSlowError(BaseException):
    """Raised where a reader takes too long; no `except Exception` catches it."""


class Payload:
    """Leaves a marker where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


# ---- what is read --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A file and its reader."""

    name: str
    """Kind of file."""
    source: Path
    """A whole one, or a folder of a run with `inside`."""
    read: Callable[[Path], object]
    """Called with the damaged file, or the folder with the damaged file."""
    inside: str = ""
    """The file in that folder."""
    words: str = ""
    """Command that reads it, with {} for the path; empty where no command reads it alone."""


_RESUME = "resume {} --quiet --time-limit 2"
_EVALUATE = "evaluate {} --quiet --time-limit 2 --precision 1e-2 --no-observables"
_FCIDUMP = "fcidump {} --dry-run"
_OPTIONS = "molecule H2 --dry-run --config {}"


def targets(place: Path) -> list[Target]:
    """Return all readers, with one whole file each."""
    from nnbf.cli.commands import SolveMolecule
    from nnbf.cli.parsing import read_config_file
    from nnbf.report.reading import read_run
    from nnbf.runs import RunDirectory
    from nnbf.runs.checkpoint import load_checkpoint
    from nnbf.runs.run import plan_resumption
    from nnbf.runs.schema import load_config, load_result
    from nnbf.runs.trained import newest_parameters

    def manifest(path: Path) -> object:
        from nnbf.cli.sweep import vocabularies
        from nnbf.sweep.manifest import read_manifest
        from nnbf.sweep.points import expand

        return expand(read_manifest(path, vocabularies()))

    def basis(path: Path) -> object:
        from hamiltonians.molecule.basis_file import read_basis_file

        return read_basis_file(path)

    def fcidump(path: Path) -> object:
        from hamiltonians.formats.fcidump import read_fcidump

        return read_fcidump(path, references=False)

    def geometry(path: Path) -> object:
        from hamiltonians.molecule.geometry import read_geometry

        return read_geometry(path)

    def newest(folder: Path) -> object:
        directory = RunDirectory.open(folder)
        return newest_parameters(directory, directory.read_config())

    def resumption(folder: Path) -> object:
        plan = plan_resumption(folder)
        return plan.n_rows, plan.nothing_to_do, plan.spent

    written = {
        "c.toml": 'basis = "6-31g"\ntime-limit = 30.0\n[solver]\nhidden = [32, 32]\nseed = 3\n',
        "m.toml": '[sweep]\nname = "h2"\n[base]\nbasis = "sto-3g"\n'
        '[scan]\ntemplate = "H 0 0 0; H 0 0 {r:.3f}"\n'
        "r = { start = 0.7, stop = 2.3, count = 5 }\n[grid]\nseed = [0, 1]\n"
        "[[override]]\nwhen = { seed = 1 }\n"
        'basis = "6-31g"\n',
        "m.xyz": "3\ncharge=0 water\nO 0.0 0.0 0.1173\nH 0.0 0.7572 -0.4692\nH 0.0 -0.7572 -0.4692\n",
        "h.fcidump": "&FCI NORB=2,NELEC=2,MS2=0,\n ORBSYM=1,1,\n ISYM=1,\n&END\n 0.6 1 1 1 1\n 0.1 2 1 2 1\n"
        " 0.5 2 2 1 1\n 0.7 2 2 2 2\n -1.2 1 1 0 0\n -0.4 2 2 0 0\n 0.7 0 0 0 0\n",
    }
    written["b.nw"] = (
        "BASIS SPHERICAL\nH    S\n  3.42525091  0.15432897\n  0.62391373D+00 0.53532814\nH SP\n"
        "  0.5 0.1 0.2\nEND\nECP\nH nelec 0\nH ul\n2 1.0 0.5\nH S\n2 1.5 -0.5\nEND\n"
    )
    for name, text in written.items():
        (place / name).write_text(text)
    molecule, lattice = FOLDERS / "lih_selected", FOLDERS / "tv_spectrum"
    load_problem(molecule / "system.npz").save(place / "s.h5")
    return [
        Target("config", molecule, load_config, "config.json", _RESUME),
        Target("lattice config", lattice, resumption, "config.json", _RESUME),
        Target("result", molecule, load_result, "result.json", _EVALUATE),
        Target("result of a report", lattice, read_run, "result.json", "report {} --quiet"),
        Target("history", molecule, read_run, "history.jsonl", _EVALUATE),
        Target("checkpoint", molecule, newest, "checkpoint/state-000001.npz", _EVALUATE),
        Target(
            "checkpoint to resume",
            FOLDERS / "lih_stopped",
            resumption,
            "checkpoint/state-000001.npz",
            _RESUME,
        ),
        Target("final state", molecule / "checkpoint" / "final.npz", load_checkpoint),
        Target("system.npz", molecule / "system.npz", load_problem, "", _FCIDUMP),
        Target("system.h5", place / "s.h5", load_problem, "", _FCIDUMP),
        Target("options", place / "c.toml", lambda path: read_config_file(path, SolveMolecule), "", _OPTIONS),
        Target("manifest", place / "m.toml", manifest, "", "sweep {} --dry-run"),
        Target("geometry", place / "m.xyz", geometry, "", "molecule {} --dry-run"),
        Target("FCIDUMP", place / "h.fcidump", fcidump, "", _FCIDUMP),
        Target("basis", place / "b.nw", basis, "", "molecule H2 --dry-run --basis-file {}"),
    ]


# ---- damage --------------------------------------------------------------------------------------


def cut(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Cut the end."""
    return content[: dice.randrange(len(content) + 1)]


def flipped(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Flip some bits."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 3, 30))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def noise(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Put noise somewhere."""
    at = dice.randrange(len(content))
    return content[:at] + dice.randbytes(dice.choice((1, 20, 2000))) + content[at + dice.choice((0, 10)) :]


def repeated(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Repeat a piece, a few times or thousands of times."""
    begin, end = sorted(dice.randrange(len(content) + 1) for _ in "be")
    return (
        content[:end]
        + content[begin:end] * dice.choice((1, 3, max(1, 200_000 // (end - begin + 1))))
        + content[end:]
    )


def other_token(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Put something nasty in the place of a word or a number."""
    words = [*re.finditer(rb"[A-Za-z0-9_.+-]+", content)] or [re.match(b"", content)]
    place = dice.choice(words)
    return content[: place.start()] + dice.choice(TOKENS) + content[place.end() :]


def lines_lost(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Leave lines out, and change their order."""
    lines = content.split(b"\n")
    kept = [line for line in lines if dice.random() < 0.8]
    if dice.random() < 0.5:
        dice.shuffle(kept)
    return b"\n".join(kept)


def encoded(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Take another encoding."""
    return content.decode("latin-1").encode(dice.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))


def planted(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Hold a payload: a pickle, or Python where numbers and names are."""
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()".encode()
    kind = dice.randrange(4)
    if kind == 0:
        return pickle.dumps(Payload(marker))
    if kind == 1:
        stream = io.BytesIO()
        np.save(stream, np.array([Payload(marker)], dtype=object), allow_pickle=True)
        return stream.getvalue()
    found = other_token(content, dice, marker)
    return found.replace(dice.choice(TOKENS), code) if kind == 2 else content.replace(b"0", code, 1) + code


def other_values(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Change, lose and nest values of JSON, in files and in lines."""
    *before, last = content.strip().split(b"\n") if content.count(b"\n{") else (content,)
    try:
        nested = json.loads(last)
    except ValueError:
        return other_token(content, dice, marker)
    return b"\n".join([*before, json.dumps(changed_value(nested, dice)).encode(), b""])


def changed_value(nested: object, dice: random.Random) -> object:
    """Return the same with one value changed or lost."""
    if not isinstance(nested, dict | list) or not nested or dice.random() < 0.1:
        return dice.choice(VALUES)
    key = dice.choice([*nested]) if isinstance(nested, dict) else dice.randrange(len(nested))
    if dice.random() < 0.3:
        del nested[key]
    else:
        nested[key] = changed_value(nested[key], dice)
    return nested


def other_members(content: bytes, dice: random.Random, marker: Path) -> bytes:
    """Change members of an archive, which keeps its form and has the right digest."""
    if content[:2] != b"PK":
        return repeated(content, dice, marker)
    marked = content[-_TAIL:-64] == _MARK
    stream, changed = io.BytesIO(), io.BytesIO(content[:-_TAIL] if marked else content)
    with zipfile.ZipFile(changed) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        told = [name for name in names if name in ("tree.npy", "metadata.npy", "network.npy")]
        chosen = dice.choice(told if told and dice.random() < 0.6 else names)
        for name in names:
            data = old.read(name)
            new.writestr(name, _member(data, dice, marker) if name == chosen else data)
        if dice.random() < 0.1:
            new.writestr("x" + "/y" * dice.choice((1, 20_000)), b"")
    found = stream.getvalue()
    return found + _MARK + hashlib.sha256(found).hexdigest().encode() if marked else found


def _member(data: bytes, dice: random.Random, marker: Path) -> bytes:
    header, body = data[:128], data[128:]
    shape = dice.choice(
        (b"(10000000000,)", b"(-1,)", b"(" * 250, b"[" * 2000, b"(2, 2)", b"()", b"(9" + b"9" * 4400)
    )
    kind = dice.randrange(7)
    if kind == 0:
        return data + bytes(dice.choice((5_000_000, 50_000_000)))
    if kind == 1:
        text = (
            b"{'descr': '"
            + dice.choice((b"<f8", b"|O", b"|u1", b"<U9", b"|V4"))
            + b"', 'fortran_order': False, "
        )
        text += b"'shape': " + shape + b"}"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body
    if kind == 2:
        return planted(data, dice, marker)
    if kind == 3 and body[:1] == b"{":
        return np_bytes(json.dumps(changed_value(json.loads(body), dice)).encode())
    if kind == 4 and body[:1] == b"{":
        return np_bytes(other_token(body, dice, marker))
    return dice.choice((cut, flipped, noise))(
        data if kind == 5 else header + dice.randbytes(len(body)), dice, marker
    )


def np_bytes(text: bytes) -> bytes:
    """Return text as an array of bytes, in a file."""
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(text, np.uint8))
    return stream.getvalue()


DAMAGE = (
    cut, flipped, noise, repeated, other_token, other_token, lines_lost, encoded, planted, other_values,
    other_values, other_members, other_members,
)  # fmt: skip


# ---- the run -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What came of one input."""

    target: str
    """Kind of file."""
    damage: str
    """What was done to it."""
    verdict: str
    """read, refused, or the fault."""
    detail: str = ""
    """The line, or the end of the traceback."""
    seconds: float = 0.0
    """Time that it took."""

    @property
    def is_fault(self) -> bool:
        """True for what must not be."""
        return self.verdict not in ("read", "refused")


def outcomes(
    count: int, seed: int, place: Path, keep: Path | None = None, *, by_command: bool = False
) -> Iterator[Outcome]:
    """Damage files in every way and read them, here or by commands; files with faults are kept."""
    dice, marker = random.Random(seed), place / "marker"
    known = [target for target in targets(place) if target.words or not by_command]
    if not by_command:
        for target in known:  # whole files are read, and modules imported before time counts
            target.read(target.source)
        signal.signal(signal.SIGALRM, _too_slow)
    for number in range(count):
        target, damage = known[number % len(known)], dice.choice(DAMAGE)
        copy = place / f"copy{target.source.suffix}"
        shutil.rmtree(copy, ignore_errors=True)
        copy.unlink(missing_ok=True)
        (shutil.copytree if target.inside else shutil.copy)(target.source, copy)
        file = copy / target.inside if target.inside else copy
        file.write_bytes(damage(file.read_bytes(), dice, marker))
        found = (_commanded if by_command else _read)(target, damage.__name__, copy)
        if marker.exists():
            marker.unlink()
            found = Outcome(target.name, damage.__name__, "payload ran")
        if found.is_fault and keep is not None:
            keep.mkdir(exist_ok=True, parents=True)
            shutil.copy(file, keep / f"{number}-{file.name}")
        yield found


def _read(target: Target, damage: str, path: Path) -> Outcome:
    verdict, detail, started = "read", "", time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            target.read(path)
    except InputError as error:
        verdict, detail = "refused", _short(str(error))
        # Readers may be used without the command line: long texts are for files alone to blame.
        if "\n" in detail or len(detail) >= 300:
            verdict = "more than a line"
    except TooSlowError:
        verdict, detail = "too slow", traceback.format_exc()[-300:]
    except MemoryError:
        verdict, detail = "out of memory", traceback.format_exc()[-300:]
    except Exception:
        verdict, detail = "traceback", traceback.format_exc()[-600:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Outcome(target.name, damage, verdict, detail, time.monotonic() - started)


def _commanded(target: Target, damage: str, path: Path) -> Outcome:
    """Let the command itself read, in a process of its own."""
    words = [word.replace("{}", str(path)) for word in target.words.split()]
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "nnbf.cli", *words],
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd=path.parent,
        )
        timer = threading.Timer(SECONDS, child.kill)
        timer.start()
        _, code, used = os.wait4(child.pid, 0)
        timer.cancel()
        child.returncode = os.waitstatus_to_exitcode(code)  # it has been waited for
        said.seek(0)
        text = said.read()
    seconds, lines = (
        time.monotonic() - started,
        [line for line in text.splitlines() if line.startswith("error:")],
    )
    verdict = "read" if child.returncode == 0 else "refused"
    if "Traceback" in text or child.returncode not in (0, 1, 2):
        verdict = "too slow" if child.returncode < 0 and seconds >= SECONDS else "traceback"
    elif 1024 * used.ru_maxrss > MOST_BYTES:
        verdict = "out of memory"
    elif verdict == "refused" and (len(lines) != 1 or len(lines[0]) >= 300):
        verdict = "more than a line"
    return Outcome(target.name, damage, verdict, text[-600:], seconds)


def _too_slow(*_: object) -> None:
    raise TooSlowError


@contextlib.contextmanager
def limited_memory(more: int = MOST_BYTES) -> Iterator[None]:
    """Let this process take so many bytes more than it has now, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main() -> int:
    """Run, print a table and the faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=3000, help="number of files (default 3000)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default 0)")
    parser.add_argument("--commands", type=int, default=60, help="number that goes through commands (60)")
    parser.add_argument("--keep", type=Path, help="folder for files with faults")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    slowest, faults = 0.0, 0
    with tempfile.TemporaryDirectory() as scratch, limited_memory():
        for found in outcomes(options.count, options.seed, Path(scratch), options.keep):
            counts[found.target, found.verdict] += 1
            slowest, faults = max(slowest, found.seconds), faults + found.is_fault
            if found.is_fault:
                print(f"FAULT {found.target}, {found.damage}: {found.verdict}\n{found.detail}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for found in outcomes(options.commands, options.seed, Path(scratch), options.keep, by_command=True):
            counts[f"{found.target} by command", found.verdict] += 1
            faults += found.is_fault
            if found.is_fault:
                print(f"FAULT {found.target}, {found.damage}: {found.verdict}\n{found.detail}", flush=True)
    for (target, verdict), number in sorted(counts.items()):
        print(f"{target:<34}{verdict:<20}{number}")
    print(
        f"{options.count} files and {options.commands} by commands, {faults} faults, slowest {slowest:.1f} s"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
