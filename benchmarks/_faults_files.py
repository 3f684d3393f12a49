"""Faults of files: checkpoints cut short, changed, missing, swapped, of another run; other files damaged."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from _faults import Case, Lab, rows_of

from nnbf.cli import main

_STEPS = 15
Damage = Callable[[Path, Path, Path], object]
"""Called with the run folder, the newest checkpoint and the one before."""


def file_cases(lab: Lab) -> Iterator[Case]:
    """Damage copies of a run that stopped half way in every way of `faults`, and resume each.

    All are resumed in this process, which saves the start of a program for each of them. Its kernels
    are compiled once, and their results do not depend on the process.
    """
    half = lab.new_folder()
    code, said = lab.program.run(*lab.begin(half, f"--max-steps={_STEPS}"))
    other = lab.new_folder()
    if code == 0:
        code, said = lab.program.run(*lab.begin(other, f"--max-steps={_STEPS + 5}", "--seed=7"))
    if code != 0:
        raise RuntimeError(said)
    for name, fault in faults(other).items():
        folder = lab.new_folder()
        shutil.copytree(half, folder)
        before, newest = sorted((folder / "checkpoint").glob("state-*.npz"))[-2:]
        fault.damage(folder, newest, before)
        code, said = _resume(folder, lab.undisturbed.bits.steps)
        start = _first_step(folder)
        case = lab.judged(name, folder, code, said, note=f"went on after {start} steps")
        if case.passed and (start != fault.step or ("is not used" in said) != fault.reported):
            case = Case(name, False, f"went on after step {start}, not {fault.step}; said {lab.said(said)!r}")
        yield case
    yield from refusals(lab, half)


def _resume(folder: Path, steps: int) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["resume", str(folder), "--quiet", "--max-steps", str(steps)])
    return code, err.getvalue()


def _first_step(folder: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return json.loads((folder / "config.json").read_text())["resumed"][-1]["from_step"]
    return None


def cut(share: float) -> Damage:
    """Keep this share of the newest checkpoint."""

    def damage(folder, newest, before):
        content = newest.read_bytes()
        newest.write_bytes(content[: int(share * len(content))])

    return damage


def flip(place: float) -> Damage:
    """Flip a bit of the newest checkpoint, at this share of its length."""

    def damage(folder, newest, before):
        content = bytearray(newest.read_bytes())
        content[min(int(place * len(content)), len(content) - 1)] ^= 1
        newest.write_bytes(content)

    return damage


def _swap(folder, newest, before):
    aside = before.with_name("aside")
    newest.rename(aside)
    before.rename(newest)
    aside.rename(before)


def _leave_temporary(folder, newest, before):
    newest.with_name(f".{newest.name}.4711.tmp").write_bytes(newest.read_bytes()[:999])
    (folder / ".result.json.4711.tmp").write_text("{")


def _make_folder(folder, newest, before):
    newest.unlink()
    newest.mkdir()


def _damage_both(folder, newest, before):
    newest.write_bytes(b"")
    flip(0.5)(folder, before, newest)


@dataclass(frozen=True)
class Fault:
    """Something done to the files of a run, and what must come of it."""

    damage: Damage
    step: int = _STEPS - 1
    """Steps made where the run goes on: all of them, all but one, or none."""
    reported: bool = True
    """True where the program must say that a checkpoint is of no use."""


def faults(other: Path) -> dict[str, Fault]:
    """Return all of them by name; `other` is the folder of another run."""
    theirs = sorted((other / "checkpoint").glob("state-*.npz"))[-1]
    half_a_row, row = '{"step": 15, "ener', '{"step": 15, "energy": 0.0}\n'
    return {
        "newest cut to nothing": Fault(cut(0.0)),
        "newest cut in its header": Fault(cut(0.01)),
        "newest cut in the middle": Fault(cut(0.5)),
        "newest cut before its digest": Fault(cut(0.99)),
        "last byte of newest missing": Fault(cut(0.99999)),
        "bit flipped in the first byte": Fault(flip(0.0)),
        "bit flipped in the header": Fault(flip(0.003)),
        "bit flipped in the data": Fault(flip(0.4)),
        "bit flipped in the directory of the archive": Fault(flip(0.95)),
        "bit flipped in the digest": Fault(flip(1.0)),
        "newest full of zeros": Fault(lambda _, newest, before: newest.write_bytes(bytes(9999))),
        "newest is text": Fault(lambda _, newest, before: newest.write_text("{}")),
        "newest is a folder": Fault(_make_folder),
        "newest is that of another run": Fault(lambda _, newest, before: shutil.copy(theirs, newest)),
        "newest is the final wave function": Fault(
            lambda _, newest, before: shutil.copy(newest.with_name("final.npz"), newest)
        ),
        "newest missing": Fault(lambda _, newest, before: newest.unlink(), reported=False),
        "the one before missing": Fault(lambda _, newest, before: before.unlink(), _STEPS, False),
        "the one before damaged": Fault(lambda _, newest, before: before.write_bytes(b"x"), _STEPS, False),
        "the two swapped": Fault(_swap, reported=False),
        "both damaged": Fault(_damage_both, 0),
        "checkpoint folder missing": Fault(
            lambda folder, newest, before: shutil.rmtree(newest.parent), 0, False
        ),
        "temporary files left": Fault(_leave_temporary, _STEPS, False),
        "history ends in half a row": Fault(
            lambda folder, newest, before: _append(folder / "history.jsonl", half_a_row), _STEPS, False
        ),
        "a row after the checkpoint": Fault(
            lambda folder, newest, before: _append(folder / "history.jsonl", row), _STEPS, False
        ),
        "result.json cut short": Fault(
            lambda folder, newest, before: (folder / "result.json").write_text('{"status": '), _STEPS, False
        ),
    }


def _append(path: Path, text: str) -> None:
    with path.open("a") as stream:
        stream.write(text)


def refusals(lab: Lab, half: Path) -> Iterator[Case]:
    """Damage what cannot be replaced: the run must be refused in one line, and left as it is."""
    for name, damage in {
        "config.json cut short": lambda folder: (folder / "config.json").write_text('{"form'),
        "config.json missing": lambda folder: (folder / "config.json").unlink(),
        "system.npz missing": lambda folder: (folder / "system.npz").unlink(),
        "system.npz cut short": lambda folder: (folder / "system.npz").write_bytes(b"PK"),
    }.items():
        folder = lab.new_folder()
        shutil.copytree(half, folder)
        damage(folder)
        rows = rows_of(folder)
        code, said = _resume(folder, lab.undisturbed.bits.steps)
        clean = code == 2 and said.count("\n") == 1 and said.startswith("error: ") and rows_of(folder) == rows
        yield Case(name, clean, f"exit code {code}: {lab.said(said)[:120]}")
        shutil.rmtree(folder)
