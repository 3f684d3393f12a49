"""Write the report of a run, or the comparison of several: the one call for both."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf.report._theme import DARK, LIGHT
from nnbf.report.compare import comparison_markdown, comparison_page, draw_comparison
from nnbf.report.extrapolation import draw_extrapolations, has_extrapolation
from nnbf.report.markdown import run_markdown
from nnbf.report.page import run_page
from nnbf.report.plot import draw_run, png
from nnbf.report.runs import RunRecord, read_run

_FILES = ("index.html", "energy.png", "report.md")


@dataclass(frozen=True)
class WrittenReport:
    """Paths of what was written."""

    page: Path
    """One HTML page with everything in it."""
    plot: Path
    """The plot."""
    table: Path
    """The tables as Markdown."""


def write_report(runs: str | Path | Sequence[str | Path], *, out: str | Path | None = None) -> WrittenReport:
    """Write report/ in every run folder; for several runs also a comparison.

    Needs neither the solver nor PySCF: everything comes from the files of the folders.

    Args:
        runs: One run folder, or several.
        out: Folder of the comparison; by default "comparison" in the folder that holds the runs.

    Returns:
        The report of the run, or the comparison of the runs.

    Raises:
        InputError: A folder holds no run, or `out` holds other files (nothing is written then).
    """
    folders = [runs] if isinstance(runs, str | Path) else list(runs)
    records = [read_run(folder) for folder in folders]
    if not records:
        raise InputError("no run given: give the folder of at least one")
    target = None if len(records) == 1 else _comparison_folder(records, out)
    written = None
    for record in records:
        images = _images(draw_run, record)
        fits = _images(draw_extrapolations, record) if has_extrapolation(record) else {}
        page = run_page(record, images, fits)
        written = _write(record.path / "report", page, images["light"], run_markdown(record))
        if fits:
            _write_file(record.path / "report", "extrapolation.png", fits["light"])
    if target is not None:
        images = _images(draw_comparison, records)
        page = comparison_page(records, images, target)
        written = _write(target, page, images["light"], comparison_markdown(records))
    assert written is not None
    return written


def _images(draw: Callable[..., Any], content: Any) -> dict[str, bytes]:
    """Return the plot for both colour schemes and both widths of screen."""
    return {
        prefix + name: png(draw(content, theme, narrow=bool(prefix)))
        for prefix in ("", "narrow-")
        for name, theme in (("light", LIGHT), ("dark", DARK))
    }


def _comparison_folder(records: Sequence[RunRecord], out: str | Path | None) -> Path:
    if out is None:
        common = Path(os.path.commonpath([record.path.absolute().parent for record in records]))
        here = Path.cwd()
        folder = (common.relative_to(here) if common.is_relative_to(here) else common) / "comparison"
    else:
        folder = Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder as --out")
    others = [path.name for path in folder.iterdir() if path.name not in _FILES] if folder.is_dir() else []
    if others:
        raise InputError(f"{folder} holds other files ({min(others)}): give a new or empty folder as --out")
    return folder


def _write(folder: Path, page: str, plot: bytes, table: str) -> WrittenReport:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(_FILES, (page.encode(), plot, table.encode()), strict=True):
            _write_file(folder, name, content)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}; give a writable folder") from error
    return WrittenReport(*(folder / name for name in _FILES))


def _write_file(folder: Path, name: str, content: bytes) -> None:
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    temporary.write_bytes(content)
    temporary.replace(folder / name)
