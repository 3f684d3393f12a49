"""Runs and sweeps in a list of folders, with what is wrong with any of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf._program import typed
from nnbf.report.reading import RunRecord, is_run, read_run

RECORDS = "records.json"
"""Marks a folder as a report of many runs."""

_PICTURES = (".png", ".svg")
_LARGEST_PICTURE = 4_000_000  # bytes
_PICTURE_FOLDERS = ("", "pictures", "figures", "plots")


@dataclass(frozen=True)
class Entry:
    """A run of the report, whatever state it is in."""

    name: str
    """End of its path, long enough to tell it from the others."""
    path: Path
    """Its folder."""
    run: RunRecord | None
    """Content of its files; None where they cannot be read, or are not there."""
    status: str
    """As result.json says; "running or broken off" without one; "damaged"; else what its sweep says."""
    reason: str = ""
    """Reason why it failed, or what is damaged."""
    sweep: str | None = None
    """Name of the sweep that it is a point of."""
    coordinates: Mapping[str, Any] = field(default_factory=dict)
    """Place in that sweep."""


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


@dataclass(frozen=True)
class _Found:
    path: Path
    status: str = ""
    reason: str = ""
    sweep: str | None = None
    coordinates: Mapping[str, Any] = field(default_factory=dict)


def read_collection(folders: Sequence[str | Path]) -> Collection:
    """Read run folders and sweep folders.

    Args:
        folders: Run folders in any state, folders of sweeps (with sweep.json). Files and earlier reports, as
            `runs/*` catches them, are left out.

    Raises:
        InputError: One does not exist, or is the folder of neither; or no run is left.
    """
    found: list[_Found] = []
    sweeps: list[SweepEntry] = []
    left_out: list[str] = []
    for folder in folders:
        path = Path(folder).expanduser()
        if not path.exists():
            raise InputError(f"there is no folder {path}: give folders of runs or sweeps")
        if not path.is_dir():
            left_out.append(f"{path} is a file")
        elif (path / "sweep.json").is_file():
            sweep, points = _sweep(path, [other.name for other in sweeps])
            sweeps.append(sweep)
            found += points
        elif is_run(path):
            found.append(_Found(path))
        elif (path / RECORDS).is_file():
            left_out.append(f"{path} is a report")
        else:
            raise InputError(f"{path} is the folder of neither a run nor a sweep{_hint(path)}")
    # A point counts as one of its sweep, however often and in whichever order it is given.
    unique: dict[Path, _Found] = {}
    for item in sorted(found, key=lambda item: item.sweep is None):
        unique.setdefault(item.path.resolve(), item)
    kept = [item for item in found if unique[item.path.resolve()] is item]
    if not kept:
        why = f" ({left_out[0]})" if left_out else ""
        raise InputError(f"no run given{why}: give the folders of runs or sweeps")
    names = _names([item.path for item in kept], [1 if item.sweep is None else 2 for item in kept])
    entries = tuple(_entry(name, item) for name, item in zip(names, kept, strict=True))
    return Collection(entries, tuple(sweeps), tuple(left_out))


def left_out(lines: Sequence[str]) -> str:
    """Return the arguments that were left out in few words: all of a few, else the first and the count."""
    if len(lines) <= 3:
        return ", ".join(lines)
    return f"{lines[0]}, and {len(lines) - 1} more files or reports"


def entry_of(run: RunRecord, name: str = "") -> Entry:
    """Return the entry of a run that stands alone."""
    status = str(run.result.get("status") or "unknown")
    reason = str(run.result.get("message") or "") if status == "failed" else ""
    return Entry(name or run.path.resolve().name, run.path, run, status, reason)


def _entry(name: str, item: _Found) -> Entry:
    def entry(run: RunRecord | None, status: str, reason: str) -> Entry:
        return Entry(name, item.path, run, status, reason, item.sweep, item.coordinates)

    path = item.path
    if not path.is_dir() or not is_run(path):
        return entry(None, item.status or "missing", item.reason)
    if not (path / "config.json").is_file() and not (path / "result.json").is_file():
        return entry(None, "broken off", "it was killed before its first step")
    try:
        run = read_run(path)
    except InputError as error:
        reason = (
            str(error)
            .removesuffix(": give another run")
            .removesuffix(": is it that of a run?")
            .replace(f"{path}/", "")
        )
        return entry(None, "damaged", reason)
    status = str(run.result.get("status") or "unknown")
    reason = item.reason if item.status == "failed" else ""
    if status == "failed":
        reason = str(run.result.get("message") or reason)
    elif not run.finished and item.status == "failed":
        status = "failed"
    return entry(run, status, reason)


def _sweep(path: Path, taken: Sequence[str]) -> tuple[SweepEntry, list[_Found]]:
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
        coordinates = point.get("coordinates")
        found.append(
            _Found(
                path / point["directory"],
                str(point.get("status") or ""),
                str(point.get("reason") or ""),
                name,
                coordinates if isinstance(coordinates, dict) else {},
            )
        )
    if not found:
        found = [_Found(run, sweep=name) for run in sorted(path.iterdir()) if run.is_dir() and is_run(run)]
    return SweepEntry(name, path, content, _pictures(path), problem), found


def _read_sweep(path: Path) -> tuple[dict[str, Any], str]:
    try:
        content = json.loads((path / "sweep.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, f"sweep.json is damaged ({error})"
    return (content, "") if isinstance(content, dict) else ({}, "sweep.json is damaged (no JSON object)")


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
