"""Runs and sweeps in a list of folders, with what is wrong with any of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, one_line
from nnbf._io import given_path, read_json
from nnbf._text import typed
from nnbf.report.reading import RunRecord, is_run, read_run

RECORDS = "records.json"
"""Marks a folder as a report of many runs."""

_PICTURES = (".png", ".svg")
_LARGEST_PICTURE = 4_000_000  # bytes
_PICTURE_FOLDERS = ("", "pictures", "figures", "plots")


@dataclass(frozen=True)
class Entry:
    """A run of the report, whatever state it is in."""

    path: Path
    """Its folder."""
    name: str = ""
    """End of its path, long enough to tell it from the others."""
    run: RunRecord | None = None
    """Content of its files; None where they cannot be read, or are not there."""
    status: str = ""
    """As result.json says; "running or broken off" without one; "damaged"; else what its sweep says."""
    reason: str = ""
    """Reason why it failed, or what is damaged."""
    sweep: str | None = None
    """Name of the sweep that it is a point of."""
    coordinates: Mapping[str, Any] = field(default_factory=dict)
    """Place in that sweep."""

    @property
    def problems(self) -> list[str]:
        """The reason and the warnings, one line each."""
        return [*filter(None, [self.reason]), *(self.run.warnings if self.run else ())]

    @property
    def has_result(self) -> bool:
        """True where the run has ended with an energy, and has not failed."""
        ended = self.run is not None and self.run.finished and self.run.energy is not None
        return ended and self.status != "failed"


@dataclass(frozen=True)
class SweepEntry:
    """A sweep of the report."""

    name: str
    """Its name."""
    path: Path
    """Its folder."""
    content: Mapping[str, Any]
    """Content of sweep.json; empty where that is damaged."""
    pictures: tuple[tuple[str, str, bytes], ...]
    """Name, suffix and content of the pictures in its folder."""
    problem: str = ""
    """Fault of sweep.json."""


@dataclass(frozen=True)
class Collection:
    """Runs and sweeps in the order in which they were given."""

    entries: tuple[Entry, ...]
    """The runs, points of sweeps included; each once."""
    sweeps: tuple[SweepEntry, ...]
    """The sweeps."""
    left_out: tuple[str, ...] = ()
    """Arguments that are no run: one line each."""


def read_collection(folders: Sequence[str | Path]) -> Collection:
    """Read run folders and sweep folders.

    Args:
        folders: Run folders in any state, folders of sweeps (with sweep.json). Files and earlier reports, as
            `runs/*` catches them, are left out.

    Raises:
        InputError: One does not exist, or is the folder of neither; or no run is left.
    """
    found: list[Entry] = []
    sweeps: list[SweepEntry] = []
    left_out: list[str] = []
    for folder in folders:
        path = given_path(folder)
        if not path.exists():
            raise InputError(f"there is no folder {path}: give folders of runs or sweeps")
        if not path.is_dir():
            left_out.append(f"{path} is a file")
        elif (path / "sweep.json").is_file():
            sweep, points = _sweep(path, [other.name for other in sweeps])
            sweeps.append(sweep)
            found += points
        elif is_run(path):
            found.append(Entry(path))
        elif (path / RECORDS).is_file():
            left_out.append(f"{path} is a report")
        else:
            raise InputError(f"{path} is the folder of neither a run nor a sweep{_hint(path)}")
    # A point counts as one of its sweep, however often and in whichever order it is given.
    unique: dict[Path, Entry] = {}
    for entry in sorted(found, key=lambda entry: entry.sweep is None):
        unique.setdefault(entry.path.resolve(), entry)
    kept = [entry for entry in found if unique[entry.path.resolve()] is entry]
    if not kept:
        why = f" ({left_out[0]})" if left_out else ""
        raise InputError(f"no run given{why}: give the folders of runs or sweeps")
    names = _names([entry.path for entry in kept], [1 if entry.sweep is None else 2 for entry in kept])
    entries = [replace(_read(entry), name=name) for entry, name in zip(kept, names, strict=True)]
    return Collection(tuple(entries), tuple(sweeps), tuple(left_out))


def left_out(lines: Sequence[str]) -> str:
    """Return the arguments that were left out in few words: all of a few, else the first and the count."""
    if len(lines) <= 3:
        return ", ".join(lines)
    return f"{lines[0]}, and {len(lines) - 1} more files or reports"


def entry_of(run: RunRecord, planned: Entry | None = None) -> Entry:
    """Return the entry of a run, which may be a `planned` point of a sweep."""
    entry = planned or Entry(run.path, run.path.resolve().name)
    failed = entry.status == "failed"
    reason, status = entry.reason if failed else "", run.status
    if status == "failed":
        reason = str(run.result.get("message") or reason)
    elif failed and not run.finished:
        status = "failed"
    return replace(entry, run=run, status=status, reason=reason)


def _read(entry: Entry) -> Entry:
    path = entry.path
    if not is_run(path):
        return replace(entry, status=entry.status or "missing")
    if not (path / "config.json").is_file() and not (path / "result.json").is_file():
        return replace(entry, status="broken off", reason="it was killed before its first step")
    try:
        return entry_of(read_run(path), entry)
    except InputError as error:
        return damaged(entry, error)


def damaged(entry: Entry, error: InputError) -> Entry:
    """Return the entry of a run whose files cannot be used, with the reason."""
    reason = str(error).removesuffix(": give another run").removesuffix(": is it that of a run?")
    reason = reason.removeprefix(f"{entry.path}: ").replace(f"{entry.path}/", "")
    return replace(entry, run=None, status="damaged", reason=reason)


def _sweep(path: Path, taken: Sequence[str]) -> tuple[SweepEntry, list[Entry]]:
    content, problem = _read_sweep(path)
    name = str(content.get("name") or path.resolve().name)
    while name in taken:
        name += "'"
    points = content.get("points")
    found = []
    for point in points if isinstance(points, list) else []:
        if not isinstance(point, dict) or not isinstance(point.get("directory"), str):
            problem = problem or "a point is not described as it should be"
            continue
        place = point.get("coordinates")
        found.append(
            Entry(
                path / point["directory"],
                status=str(point.get("status") or ""),
                reason=str(point.get("reason") or ""),
                sweep=name,
                coordinates=place if isinstance(place, dict) else {},
            )
        )
    if not found:
        found = [Entry(run, sweep=name) for run in sorted(path.iterdir()) if run.is_dir() and is_run(run)]
    return SweepEntry(name, path, content, _pictures(path), problem), found


def _read_sweep(path: Path) -> tuple[dict[str, Any], str]:
    try:
        return read_json(path / "sweep.json", "a sweep"), ""
    except InputError as error:
        reason = "no JSON object" if error.__cause__ is None else one_line(error.__cause__)[:100]
        return {}, f"sweep.json is damaged ({reason})"


def _pictures(path: Path) -> tuple[tuple[str, str, bytes], ...]:
    found = []
    for folder in _PICTURE_FOLDERS:
        if not (path / folder).is_dir():
            continue
        for file in sorted((path / folder).iterdir()):
            if file.suffix in _PICTURES and file.is_file() and file.stat().st_size <= _LARGEST_PICTURE:
                found.append((file.stem, file.suffix, file.read_bytes()))
    return tuple(found)


def _hint(path: Path) -> str:
    inside = sum(
        is_run(folder) or (folder / "sweep.json").is_file() for folder in path.iterdir() if folder.is_dir()
    )
    if inside:
        return f": it holds {inside} of them, give {path}/*"
    if (path / ".points").is_dir():
        return f": a sweep that has no sweep.json yet, run {typed('sweep')} on it first"
    return ": give one with config.json or sweep.json"


def _names(paths: Sequence[Path], least: Sequence[int]) -> list[str]:
    """Return the end of every path, as short as it can be told from the others, of at least so many parts."""
    parts = [path.absolute().parts for path in paths]
    names = []
    for own, depth in zip(parts, least, strict=True):
        while depth < len(own) and sum(other[-depth:] == own[-depth:] for other in parts) > 1:
            depth += 1
        names.append("/".join(own[-depth:]))
    return names
