"""Write reports: of one run into its folder, of many runs and sweeps into a folder of their own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hamiltonians.errors import InputError, one_line
from nnbf._io import write_atomically
from nnbf.report.collection_page import collection_markdown, collection_page
from nnbf.report.collection_tables import Runs, paper_tables
from nnbf.report.page import RunView, run_markdown, run_page, run_view
from nnbf.report.plots import drawn, run_plots
from nnbf.report.reading import UNFIT, RunRecord, read_run
from nnbf.report.records import has_row, records_json, varbench_table
from nnbf.report.sources import RECORDS, Collection, Entry, entry_of, read_collection
from nnbf.report.summary import Summary, summarise

_NAMES = ("index.html", "report.md", "tables.tex", "varbench.csv", RECORDS)
_EARLIER = ("energy.png",)  # of comparisons by earlier versions
_MOST_PLOTS = 40  # runs whose figures are drawn in the page about all
_PREAMBLE = r"""% Needs \usepackage{booktabs} and \usepackage{longtable}; UTF-8 in system names as usual.
"""


@dataclass(frozen=True)
class WrittenReport:
    """Paths of the report of a run."""

    page: Path
    """One HTML page with everything in it."""
    markdown: Path
    """The tables as Markdown."""
    pictures: tuple[Path, ...]
    """The figures as files."""
    problems: tuple[str, ...]
    """Figures that could not be made: one line each."""


@dataclass(frozen=True)
class WrittenCollection:
    """Paths of the report over many runs."""

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
    """Arguments that are no run: one line each."""


def write_report(
    run: str | Path | RunRecord, *, next_steps: Mapping[str, str] | None = None
) -> WrittenReport:
    """Write report/ in a run folder, the same for every kind of run.

    Needs neither the solver nor PySCF: everything comes from the files of the folder. A figure that cannot
    be drawn or written costs no more than itself.

    Args:
        run: The run folder, of a molecule or a lattice, in any state; or its content.
        next_steps: Commands that go on with the run or evaluate it, by what they do, for the page.

    Returns:
        The report of the run.

    Raises:
        InputError: The folder holds no run, or cannot be written.
    """
    record = run if isinstance(run, RunRecord) else read_run(run)
    try:
        summary = summarise(entry_of(record))
        assert summary is not None  # it could be read
        plots = drawn(run_plots(record), "plot", files=True)
        view = run_view(summary, plots, next_steps)
        page = run_page(view)
    except UNFIT as error:
        raise InputError(f"{record.path} holds something else than a run ({one_line(error)})") from error
    folder = record.path / "report"
    made = {f"{plot.plot.name}.png": plot.png for plot in plots if plot.png}
    problems = [plot.problem for plot in plots if plot.problem]
    _write(folder, {"index.html": page, "report.md": run_markdown(view, made)})
    pictures = []
    for name, content in made.items():
        try:
            _write_file(folder / name, content)
            pictures.append(folder / name)
        except OSError as error:
            problems.append(f"{name} could not be written: {error.strerror or one_line(error)}")
    return WrittenReport(folder / "index.html", folder / "report.md", tuple(pictures), tuple(problems))


def write_collection(folders: Sequence[str | Path], *, out: str | Path | None = None) -> WrittenCollection:
    """Write one report over runs and sweeps.

    Needs neither the solver nor PySCF: all comes from the files of the folders, which stay as they are.

    Args:
        folders: Run folders in any state, and folders of sweeps.
        out: Folder of the report, new, empty or that of an earlier report. Left out: "report" in the one
            sweep that was given, else "report" in the folder that holds all the others.

    Returns:
        Paths and counts.

    Raises:
        InputError: A folder is neither a run nor a sweep, or `out` holds other files: nothing is written.
    """
    collection = read_collection(folders)
    folder = _folder(collection, out)
    runs, views = _understood(collection)
    known = [summary for _, summary in runs if summary]
    rows = [summary for summary in known if has_row(summary)]
    contents = (
        collection_page(replace(collection, entries=tuple(entry for entry, _ in runs)), runs, views),
        collection_markdown(collection, runs),
        "\n".join([_PREAMBLE, *(table.latex(label) for label, table in paper_tables(rows))]),
        varbench_table(rows).csv(),
        records_json(runs, collection.sweeps, folder),
    )
    _write(folder, dict(zip(_NAMES, contents, strict=True)))
    page, markdown, latex, varbench, records = (folder / name for name in _NAMES)
    unreadable = len(runs) - len(known)
    return WrittenCollection(
        page, markdown, latex, varbench, records, len(runs), unreadable, collection.left_out
    )


def _understood(collection: Collection) -> tuple[Runs, list[RunView | None]]:
    """Every run with its summary and the content of its part; one whose files make no sense is damaged."""
    runs: list[tuple[Entry, Summary | None]] = []
    views: list[RunView | None] = []
    with_plots = len(collection.entries) <= _MOST_PLOTS
    for number, entry in enumerate(collection.entries, start=1):
        summary, view = None, None
        try:
            summary = summarise(entry)
            if summary is not None:
                plots = run_plots(summary.run) if with_plots else ()
                view = run_view(summary, drawn(plots, f"run-{number}", files=False))
                varbench_table([summary])  # all that the tables will ask of it
                records_json([(entry, summary)], (), entry.path)
        except UNFIT as error:
            reason = f"its files hold something else than those of a run ({type(error).__name__}: {error})"
            entry, summary, view = replace(entry, run=None, status="damaged", reason=reason), None, None
        runs.append((entry, summary))
        views.append(view)
    return runs, views


def _write(folder: Path, contents: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _write_file(folder / name, content.encode())
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}; give a writable folder") from error


def _write_file(path: Path, content: bytes) -> None:
    write_atomically(path, lambda stream: stream.write(content))


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
        raise InputError(f"{folder} is a file: give a folder for the report")
    expected = (*_NAMES, *_EARLIER)
    others = [path.name for path in folder.iterdir() if path.name not in expected] if folder.is_dir() else []
    if others:
        raise InputError(f"{folder} holds other files ({min(others)}): give a new or empty folder instead")
    return folder
