"""The report over many runs and sweeps: a page, tables for papers, VarBench rows and records."""

import base64
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf import _text
from nnbf._io import given_path
from nnbf._text import Cell, Column, Table, value_with_error
from nnbf.analysis import findings_sections
from nnbf.report import tables
from nnbf.report.hamiltonian_facts import OF_LATTICES, OF_MOLECULES
from nnbf.report.page import render, run_plots, run_view, write_files
from nnbf.report.reading import UNFIT, RunRecord, unfit
from nnbf.report.records import records_json, varbench_table
from nnbf.report.sources import RECORDS, Collection, Entry, SweepEntry, damaged, left_out, read_collection
from nnbf.report.style import CHEMICAL_ACCURACY, SMALLEST, Plot, drawn

_NAMES = ("index.html", "report.md", "tables.tex", "varbench.csv", RECORDS)
_EARLIER = ("energy.png",)  # of comparisons by earlier versions
_MOST_PLOTS = 40  # runs whose figures are drawn in the page about all
_MOST_LINES = 12
_PREAMBLE = r"""% Needs \usepackage{booktabs} and \usepackage{longtable}; UTF-8 in system names as usual.
"""
_DONE = ("converged", "max_steps", "time_limit")
_KNOWN = frozenset(
    ("format", "name", "command", "energy_unit", "coordinates", "points", "timings", "analysis")
)
_TITLES = {"limits": "Basis-set limits", "curves": "Curves", "scaling": "Growth with size"}
_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}
_LONG_LIST = 8


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


def write_collection(folders: Sequence[str | Path], *, out: str | Path | None = None) -> WrittenCollection:
    """Write one report over runs and sweeps.

    Needs neither the solver nor PySCF: all comes from the files of the folders, which stay as they are.

    Args:
        folders: Run folders in any state, and folders of sweeps.
        out: Folder of the report, new, empty or that of an earlier report. Left out: "report" in the one
            sweep that was given, else "report" in the folder that holds all the others.

    Raises:
        InputError: A folder is neither a run nor a sweep, or `out` holds other files: nothing is written.
    """
    collection = read_collection(folders)
    folder = _folder(collection, out)
    with_plots = len(collection.entries) <= _MOST_PLOTS
    parts = [_part(entry, number, with_plots) for number, entry in enumerate(collection.entries, start=1)]
    entries = [entry for entry, _ in parts]
    rows = [entry for entry in entries if entry.has_result]
    content = _content(replace(collection, entries=tuple(entries)), rows)
    texts = (
        render("collection.html", parts_of_runs=parts, **content),
        render("collection.md", **content),
        "\n".join([_PREAMBLE, *(table.latex(label) for label, table in tables.paper_tables(rows))]),
        varbench_table(rows).csv(),
        records_json(entries, collection.sweeps, folder),
    )
    write_files(folder, dict(zip(_NAMES, texts, strict=True)))
    unreadable = sum(entry.run is None for entry in entries)
    page, markdown, latex, varbench, records = (folder / name for name in _NAMES)
    return WrittenCollection(
        page, markdown, latex, varbench, records, len(entries), unreadable, collection.left_out
    )


def _folder(collection: Collection, out: str | Path | None) -> Path:
    if out is not None:
        folder = given_path(out)
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


def _part(entry: Entry, number: int, with_plots: bool) -> tuple[Entry, str]:
    """A run and its part of the page; one whose files make no sense is damaged, and has none."""
    if entry.run is None:
        return entry, ""
    try:
        plots = run_plots(entry.run) if with_plots else ()
        view = run_view(entry, drawn(plots, f"run-{number}", files=False))
        varbench_table([entry])  # all that the tables will ask of it
        records_json([entry], (), entry.path)
        return entry, render("part.html", view=view)
    except UNFIT as error:
        return damaged(entry, unfit(entry.path, error)), ""


def _content(collection: Collection, rows: Sequence[Entry]) -> dict[str, Any]:
    """Content of the page and of the Markdown file, for the templates."""
    entries = collection.entries
    anchors = {entry.name: f"run-{number}" for number, entry in enumerate(entries, start=1)}
    runs = [entry.run for entry in entries if entry.run is not None]
    return {
        "title": _title(collection),
        "subtitle": _subtitle(runs),
        "tiles": [pair for pair in _tiles(entries, runs) if pair[1]],
        "failures": [(entry.name, entry.reason) for entry in entries if entry.reason],
        "warnings": [(entry.name, text) for entry in entries if entry.run for text in entry.run.warnings],
        "problems": [(entry.name, text) for entry in entries for text in entry.problems],
        "charts": drawn(_charts(entries, anchors), "all", files=False),
        "runs": partial(tables.runs_table, entries),
        "v_scores": partial(tables.v_scores_table, rows),
        "anchors": anchors,
        "sweeps": [_sweep_view(sweep, k, entries, anchors) for k, sweep in enumerate(collection.sweeps, 1)],
        "kinds": {kind for run in runs for kind in (run.result.get("estimates") or {})}
        | {run.energy.kind for run in runs if run.energy is not None},
        "infinite_temperature": {"molecule": OF_MOLECULES, "lattice": OF_LATTICES},
        "left_out": left_out(collection.left_out) if collection.left_out else "",
    }


def _title(collection: Collection) -> str:
    """Text such as "12 runs", or "12 runs of 2 sweeps"."""
    count = len(collection.entries)
    text = f"{count} run{'s' if count != 1 else ''}"
    if not collection.sweeps:
        return text
    if all(entry.sweep for entry in collection.entries):
        names = [sweep.name for sweep in collection.sweeps]
        return f"{names[0]}: {text}" if len(names) == 1 else f"{text} of {len(names)} sweeps"
    return f"{text}, {len(collection.sweeps)} sweep{'s' if len(collection.sweeps) != 1 else ''}"


def _subtitle(runs: Sequence[RunRecord]) -> str:
    dates = sorted(str(run.config["created"])[:10] for run in runs if run.config.get("created"))
    parts = []
    if dates:
        parts.append(f"started {dates[0]}" if dates[0] == dates[-1] else f"started {dates[0]} to {dates[-1]}")
    codes = list(dict.fromkeys(run.code for run in runs))
    if codes:
        parts.append(codes[0] if len(codes) == 1 else f"{len(codes)} different commits of nnbf")
    return ", ".join(parts)


def _tiles(entries: Sequence[Entry], runs: Sequence[RunRecord]) -> list[tuple[str, str]]:
    done = sum(entry.status in _DONE for entry in entries)
    bad = sum(entry.status in ("failed", "damaged", "changed") for entry in entries)
    going = len(entries) - done - bad
    in_hartree = [run.difference for run in runs if run.has_exact and run.unit == "Hartree"]
    exact = [abs(difference) for difference in in_hartree if difference is not None]
    near = sum(error <= CHEMICAL_ACCURACY for error in exact)
    seconds = [run.seconds for run in runs if run.seconds]
    return [
        ("done", f"{done} of {len(entries)}"),
        ("failed or damaged", _text.count(bad) if bad else ""),
        ("not finished", _text.count(going) if going else ""),
        ("systems", _text.count(len({run.title for run in runs}))),
        ("within 1.6 mHa of FCI", f"{near} of {len(exact)}" if exact else ""),
        ("largest error to FCI", f"{max(exact):.3g} mHa" if exact else ""),
        ("time of all runs", _text.duration(sum(seconds)) if seconds else ""),
    ]


def _charts(entries: Sequence[Entry], anchors: Mapping[str, str]) -> list[Plot]:
    """Distances to the best references, by system and over time, for each unit."""
    from nnbf.report import figures

    plots = []
    known = [(entry, entry.run) for entry in entries if entry.run is not None]
    for unit in dict.fromkeys(run.unit for _, run in known):
        what = "Molecules" if unit == "Hartree" else "Lattices"
        chosen = [(entry, run) for entry, run in known if run.unit == unit]
        measured = [(anchors[entry.name], run) for entry, run in chosen if run.difference is not None]
        if len(measured) > 1:
            draw = partial(figures.draw_distances, measured)
            plots.append(Plot(f"distances-{what.lower()}", what, "distance to the best reference", draw))
        curves = [
            (f"{entry.name}, to {run.reference.label}", points)
            for entry, run in chosen
            if run.reference and len(points := _over_time(run)) > 1
        ]
        if 2 <= len(curves) <= _MOST_LINES:
            progress = partial(figures.draw_progress, curves, chosen[0][1].milli)
            plots.append(Plot(f"progress-{what.lower()}", what, "distance over time", progress))
    return plots


def _over_time(run: RunRecord) -> list[tuple[float, float]]:
    """Seconds and distances of the steps of a run; none for several levels, which are no single curve."""
    if run.reference is None or len(run.levels) > 1:
        return []
    return [
        (row["time_s"], max(1e3 * abs(row["energy"] - run.reference.energy), SMALLEST))
        for row in run.history
        if row.get("energy") is not None and (row.get("time_s") or 0.0) > 0.0
    ]


def _sweep_view(
    sweep: SweepEntry, number: int, entries: Sequence[Entry], anchors: Mapping[str, str]
) -> dict[str, Any]:
    """Content of the part about a sweep."""
    points = [entry for entry in entries if entry.sweep == sweep.name]
    states = Counter(tables.status_words(entry.status) for entry in points)
    counts = ", ".join(f"{count} {name}" for name, count in states.most_common())
    content = dict(sweep.content)
    analysis = content.get("analysis")
    findings, used = [], set()
    if isinstance(analysis, Mapping):
        content.pop("limits", None)  # the first of the limits there
        for section in findings_sections(analysis):
            blocks = []
            for place, block in enumerate(section.blocks):
                figures = []
                for index, record in enumerate(block.records):
                    name = str(record.get("picture") or "").removesuffix(".png")
                    if name:
                        prefix = f"sweep-{number}-{section.kind}-{place}-{index}"
                        figures.append(_finding(section.kind, record, sweep, name, prefix))
                        used.add(name)
                blocks.append((block, [figure for figure in figures if figure]))
            findings.append((section.title, blocks))
    rest = [
        (name.replace("_", " "), _address(suffix, data))
        for name, suffix, data in sweep.pictures
        if name not in used
    ]
    return {
        "sweep": sweep,
        "counts": f"{len(points)} points: {counts}",
        "findings": findings,
        "extras": _extras(content),
        "pictures": rest,
        "points": tables.points_table(points, anchors),
    }


def _finding(
    kind: str, record: Mapping[str, Any], sweep: SweepEntry, name: str, prefix: str
) -> tuple[str, Any, str] | None:
    """Description, figure and address: drawn again in the colours of the page, else as the file has it."""
    from nnbf.report.sweep_figures import draw_finding

    words = name.replace("_", " ")
    plot = Plot(name, kind, words, partial(draw_finding, kind, record, sweep.name))
    (figure,) = drawn([plot], prefix, files=False)
    if figure.svg:
        return words, figure, ""
    pictures = {stem: data for stem, suffix, data in sweep.pictures if suffix == ".png"}
    return (words, None, _address(".png", pictures[name])) if name in pictures else None


def _address(suffix: str, content: bytes) -> str:
    return f"data:{_MEDIA[suffix]};base64,{base64.b64encode(content).decode()}"


def _extras(content: Mapping[str, Any]) -> list[tuple[str, Table | str]]:
    """Everything in sweep.json beside points and analysis, as tables and text, whatever it is."""
    found: list[tuple[str, Table | str]] = []
    for key, value in content.items():
        if key in _KNOWN:
            continue
        shown = _extra_table(value) or _brief(value)
        if isinstance(shown, str) and isinstance(value, Mapping):
            pairs = [(name, _brief(item)) for name, item in value.items()]
            shown = Table(["", ""], [(name, text) for name, text in pairs if text])
        if shown if isinstance(shown, str) else shown.columns:
            found.append((_TITLES.get(key, key.replace("_", " ").capitalize()), shown))
    return found


def _extra_table(value: Any) -> Table | None:
    """A row for each object, where a value is several of them; None for others."""
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        value = [{"": key, **item} for key, item in value.items()]
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return None
    keys = dict.fromkeys(key for item in value for key in item if not key.endswith("error"))
    columns = [
        Column(key.replace("_", " "), tables.alignment(item.get(key) for item in value)) for key in keys
    ]
    table = Table(columns, ([_with_error(item, key) for key in keys] for item in value))
    return table.without_empty_columns()


def _brief(value: Any) -> str:
    """Any value as text; nothing for long lists and nested objects, which stand in records.json."""
    items = list(value.values()) if isinstance(value, Mapping) else value
    if value is None:
        return ""
    if isinstance(items, list):
        flat = all(not isinstance(item, list | Mapping) for item in items)
        return _text.setting(value) if flat and len(items) <= _LONG_LIST else ""
    return f"{value:.8g}" if isinstance(value, float) else _text.setting(value)


def _with_error(item: Mapping[str, Any], key: str) -> Cell:
    """A number with its error, which stands beside it as "error" (of an energy) or as "<key>_error"."""
    value = item.get(key)
    error = item.get(f"{key}_error", item.get("error") if key == "energy" else None)
    if isinstance(value, float) and isinstance(error, int | float):
        return Cell(value_with_error(value, error), value)
    return Cell(_brief(value), value if isinstance(value, int | float) else None)
