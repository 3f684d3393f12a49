"""Run the commands of a page in order and compare what they print with what the page shows.

    python docs/run_tutorial.py                       # docs/tutorial.md, in a new folder
    python docs/run_tutorial.py --folder DIR          # ... in this one, which stays

In blocks marked `console` lines that begin with `$ ` are commands (`> ` continues one) and the others what
they print. A block below a line that ends with "`FILE`:" is written to that file. Everything else is not run.

What is shown may be abridged: a line `...` stands for any number of lines, a … for anything within a line.
Words have to agree, numbers to within 2e-4, whole numbers exactly. Exit code 0: all did; 1: not all.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).with_name("tutorial.md")
TOLERANCE = 2e-4
SECONDS = 900
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")


class Step(NamedTuple):
    """Something to do: a file to write, or a command to run."""

    line: int
    """Where it stands in the page, from 1."""
    command: str
    """What to run; empty for a file."""
    file: str
    """What to write; empty for a command."""
    text: tuple[str, ...]
    """Lines of the file, or what the command should print."""


def read_steps(page: str) -> Iterator[Step]:
    """Yield the steps of a page in order.

    Raises:
        ValueError: A block is not closed.
    """
    lines = page.splitlines()
    place = 0
    while place < len(lines):
        fence = re.match(r"(```+)(\w*)", lines[place])
        if fence is None:
            place += 1
            continue
        end = next((i for i in range(place + 1, len(lines)) if lines[i] == fence[1]), None)
        if end is None:
            raise ValueError(f"the block in line {place + 1} is not closed")
        before = next((line for line in reversed(lines[:place]) if line.strip()), "")
        named = re.search(r"`([\w./-]+)`:$", before)
        if fence[2] == "console":
            yield from _commands(lines, place + 1, end)
        elif named is not None:
            yield Step(place + 1, "", named[1], tuple(lines[place + 1 : end]))
        place = end + 1


def _commands(lines: Sequence[str], start: int, end: int) -> Iterator[Step]:
    words, shown, begun = "", [], start
    for i in range(start, end):
        if lines[i].startswith("$ "):
            if words:
                yield Step(begun, words, "", tuple(shown))
            words, shown, begun = lines[i][2:], [], i + 1
        elif lines[i].startswith("> ") and not shown:
            words += "\n" + lines[i][2:]
        else:
            shown.append(lines[i])
    if words:
        yield Step(begun, words, "", tuple(shown))


def first_difference(shown: Sequence[str], printed: Sequence[str]) -> str | None:
    """Return the first shown line that was not printed where it should be, or None."""
    place, anywhere = 0, False
    for line in shown:
        if not line.strip():
            continue
        if line.strip() == "...":
            anywhere = True
            continue
        while place < len(printed) and not printed[place].strip():
            place += 1
        found = next(
            (
                i
                for i in range(place, len(printed) if anywhere else place + 1)
                if _agree(line, printed[i : i + 1])
            ),
            None,
        )
        if found is None:
            return line
        place, anywhere = found + 1, False
    rest = [line for line in printed[place:] if line.strip()]
    return rest[0] if rest and not anywhere and shown else None


def _agree(shown: str, printed: Sequence[str]) -> bool:
    if not printed:
        return False
    pattern, numbers = "", []
    for i, part in enumerate(re.split(f"({NUMBER.pattern}(?!…)|…|\\s+)", shown.strip())):
        if part == "…":
            pattern += ".*"
        elif part.isspace():
            pattern += r"\s+"
        elif i % 2:  # what was split at: a number
            pattern += f"({NUMBER.pattern})"
            numbers.append(part)
        else:
            pattern += re.escape(part)
    match = re.fullmatch(pattern, printed[0].strip())
    return match is not None and all(map(_same_number, numbers, match.groups()))


def _same_number(shown: str, printed: str) -> bool:
    if re.fullmatch(r"[-+]?[\d,]+", shown):
        return shown.lstrip("+") == printed.lstrip("+")
    return abs(float(shown.replace(",", "")) - float(printed.replace(",", ""))) <= TOLERANCE


def run_step(step: Step, folder: Path, page: str) -> bool:
    """Do one step; say what was wrong with it, if anything."""
    if step.file:
        target = folder / step.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(step.text) + "\n", encoding="utf-8")
        return True
    environ = {**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "MPLBACKEND": "agg"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}"
    begun = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    print(f"{time.monotonic() - begun:6.1f} s  {step.command.splitlines()[0]}", flush=True)
    wrong = first_difference(step.text, done.stdout.splitlines())
    if done.returncode == 0 and wrong is None:
        return True
    reason = f"exit code {done.returncode}" if done.returncode else f"shown and printed differ at: {wrong}"
    print(f"{page}:{step.line}: {reason}\n--- printed\n{done.stdout}---", flush=True)
    return False


def run_page(page: Path, folder: Path) -> bool:
    """Do all steps of a page in a folder."""
    begun = time.monotonic()
    steps = list(read_steps(page.read_text(encoding="utf-8")))
    right = [run_step(step, folder, page.name) for step in steps]
    print(f"{sum(right)} of {len(steps)} steps as written, {time.monotonic() - begun:.0f} s")
    return all(right)


def main() -> int:
    """Run the page that the command line names."""
    parser = argparse.ArgumentParser(description="Run the commands of a page and compare what they print.")
    parser.add_argument("page", nargs="?", type=Path, default=PAGE)
    parser.add_argument("--folder", type=Path, help="where to run them; left out: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return 0 if run_page(options.page, folder) else 1


if __name__ == "__main__":
    sys.exit(main())
