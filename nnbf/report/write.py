"""Write the report of one run into its folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf.report._theme import DARK, LIGHT
from nnbf.report.extrapolation import draw_extrapolations, has_extrapolation
from nnbf.report.markdown import run_markdown
from nnbf.report.page import run_page
from nnbf.report.plot import draw_run, png
from nnbf.report.runs import read_run

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


def write_report(run: str | Path) -> WrittenReport:
    """Write report/ in a run folder; see `nnbf.report.write_collection` for several.

    Needs neither the solver nor PySCF: everything comes from the files of the folder.

    Args:
        run: The run folder of a molecule.

    Returns:
        The report of the run.

    Raises:
        InputError: The folder holds no run, or cannot be written.
    """
    record = read_run(run)
    images = _images(draw_run, record)
    fits = _images(draw_extrapolations, record) if has_extrapolation(record) else {}
    page = run_page(record, images, fits)
    written = _write(record.path / "report", page, images["light"], run_markdown(record))
    if fits:
        _write_file(record.path / "report", "extrapolation.png", fits["light"])
    return written


def _images(draw: Callable[..., Any], content: Any) -> dict[str, bytes]:
    """Return the plot for both colour schemes and both widths of screen."""
    return {
        prefix + name: png(draw(content, theme, narrow=bool(prefix)))
        for prefix in ("", "narrow-")
        for name, theme in (("light", LIGHT), ("dark", DARK))
    }


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
