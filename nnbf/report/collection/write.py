"""Write the report of many runs: a page, tables, rows and records."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hamiltonians.errors import InputError
from nnbf.report.collection.details import run_details
from nnbf.report.collection.latex import tables
from nnbf.report.collection.markdown import collection_markdown
from nnbf.report.collection.page import anchors, collection_page
from nnbf.report.collection.records import records_json
from nnbf.report.collection.sources import RECORDS, Collection, Entry, read_collection
from nnbf.report.collection.summary import Summary, summarise
from nnbf.report.collection.varbench import varbench_csv, varbench_row

_NAMES = ("index.html", "report.md", "tables.tex", "varbench.csv", RECORDS)
_EARLIER = ("energy.png",)  # of comparisons by earlier versions
_UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading files raises that hold something else than those of a run."""


@dataclass(frozen=True)
class WrittenCollection:
    """Paths of what was written."""

    page: Path
    """One HTML page with everything in it."""
    markdown: Path
    """The tables as Markdown."""
    latex: Path
    """The tables as LaTeX, with booktabs."""
    varbench: Path
    """A row each as VarBench has them."""
    records: Path
    """Everything, for a leaderboard."""
    n_runs: int
    """Runs in the report."""
    n_unreadable: int
    """Those of them that are damaged, or have not begun."""
    left_out: tuple[str, ...]
    """What was given and is no run: one line each."""


def write_collection(folders: Sequence[str | Path], *, out: str | Path | None = None) -> WrittenCollection:
    """Write one report over runs and sweeps.

    Needs neither the solver nor PySCF: all comes from the files of the folders, which stay as they are.

    Args:
        folders: Run folders in any state, and folders of sweeps.
        out: Folder of the report, new, empty or that of an earlier report. Left out: "report" in the one
            sweep that was given, else "report" in the folder that holds all the others.

    Returns:
        What was written.

    Raises:
        InputError: A folder is neither a run nor a sweep, or `out` holds other files: nothing is written.
    """
    collection = read_collection(folders)
    folder = _folder(collection, out)
    runs, details = _understood(collection)
    rows = [row for _, summary in runs if summary and (row := varbench_row(summary))]
    known = [summary for _, summary in runs if summary]
    contents = (
        collection_page(collection, runs, rows, details),
        collection_markdown(collection, runs, rows),
        tables(known, rows),
        varbench_csv(rows),
        records_json(runs, collection.sweeps, folder),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(_NAMES, contents, strict=True):
            temporary = folder / f".{name}.{os.getpid()}.tmp"
            temporary.write_text(content, encoding="utf-8")
            temporary.replace(folder / name)
    except OSError as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror}; give a writable folder as --out"
        ) from error
    page, markdown, latex, varbench, records = (folder / name for name in _NAMES)
    return WrittenCollection(
        page,
        markdown,
        latex,
        varbench,
        records,
        n_runs=len(runs),
        n_unreadable=len(runs) - len(known),
        left_out=collection.left_out,
    )


def _understood(collection: Collection) -> tuple[list[tuple[Entry, Summary | None]], list[str]]:
    """Every run with its summary and its part of the page; one whose files make no sense is damaged."""
    names = anchors([(entry, None) for entry in collection.entries])
    runs: list[tuple[Entry, Summary | None]] = []
    details = []
    for entry in collection.entries:
        anchor = names[entry.name]
        try:
            summary = summarise(entry)
            part = run_details(entry, summary, anchor)
            if summary is not None:  # all that the tables will ask of it
                varbench_row(summary)
                records_json([(entry, summary)], (), entry.path)
        except _UNFIT as error:
            reason = f"its files hold something else than those of a run ({type(error).__name__}: {error})"
            entry, summary = replace(entry, run=None, status="damaged", reason=reason), None
            part = run_details(entry, summary, anchor)
        runs.append((entry, summary))
        details.append(part)
    return runs, details


def _folder(collection: Collection, out: str | Path | None) -> Path:
    if out is not None:
        folder = Path(out).expanduser()
    elif len(collection.sweeps) == 1 and all(entry.sweep for entry in collection.entries):
        folder = collection.sweeps[0].path / "report"
    else:
        inside = [entry.path for entry in collection.entries if entry.sweep is None]
        inside += [sweep.path for sweep in collection.sweeps]
        common = Path(os.path.commonpath([path.absolute().parent for path in inside]))
        here = Path.cwd()
        folder = (common.relative_to(here) if common.is_relative_to(here) else common) / "report"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder as --out")
    expected = (*_NAMES, *_EARLIER)
    others = [path.name for path in folder.iterdir() if path.name not in expected] if folder.is_dir() else []
    if others:
        raise InputError(f"{folder} holds other files ({min(others)}): give a new or empty folder as --out")
    return folder
