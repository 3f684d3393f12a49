"""The page and the Markdown file of many runs and sweeps."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from nnbf import _text
from nnbf._text import Table
from nnbf.analysis import findings_sections
from nnbf.report import collection_tables as tables
from nnbf.report.collection_tables import Runs, status_words
from nnbf.report.error_scale import SMALLEST
from nnbf.report.method import code_reference
from nnbf.report.page import RunView, environment
from nnbf.report.plots import Plot, drawn
from nnbf.report.records import has_row
from nnbf.report.sources import Collection, SweepEntry, left_out
from nnbf.report.style import CHEMICAL_ACCURACY
from nnbf.report.summary import Summary
from nnbf.report.varbench_names import OF_LATTICES, OF_MOLECULES

_DONE = ("converged", "max_steps", "time_limit")
_KNOWN = frozenset(
    ("format", "name", "command", "energy_unit", "coordinates", "points", "timings", "analysis")
)
_TITLES = {"limits": "Basis-set limits", "curves": "Curves", "scaling": "Growth with size"}
_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}
_MOST_LINES = 12
_WORDS = (
    (
        "energy with brackets",
        "−107.6528(4) is −107.6528 with a standard error of 0.0004; without brackets it is a sum without "
        "statistical error. How far it is from the ground state is another matter",
    ),
    (
        "difference",
        "to FCI or exact diagonalisation (ED) where there is one, else to CCSD(T), CCSD, MP2 or HF: not "
        "exact and, HF apart, at times below the ground state",
    ),
    (
        "V-score",
        "degrees of freedom · variance / (energy − E∞)², Wu et al., Science 386, 296 (2024). For "
        "lattices as VarBench has it. For molecules there is no agreed E∞; the one here depends on the "
        "basis set and on frozen orbitals, so compare V-scores of one Hamiltonian only",
    ),
    ("degrees of freedom", "particles; of a molecule the electrons that are not frozen"),
    ("E∞ of a molecule", f"{OF_MOLECULES}, in Hartree"),
    ("E∞ of a lattice", OF_LATTICES),
)
_DEFINITIONS = {
    "variational": "⟨ψ|H|ψ⟩ / ⟨ψ|ψ⟩ on a list V of determinants: an upper bound, without statistical error",
    "full_sum": "Rayleigh quotient over the whole symmetry sector: an upper bound, without statistical error",
    "vmc": "mean of the local energy over samples: an upper bound within its error",
    "projected": "local energies averaged over V, with all that H connects: no bound",
    "pt2": "variational plus second-order correction: no bound",
    "extrapolated": "continued to no correction, or no variance, with the error of the fit: no bound",
}


@dataclass(frozen=True)
class SweepView:
    """Content of the part about a sweep."""

    sweep: SweepEntry
    """Name and content."""
    counts: str
    """Number of points by status."""
    findings: tuple[tuple[str, tuple[Any, ...]], ...]
    """Heading, and blocks with `heading`, `table`, `notes` and figures."""
    extras: tuple[tuple[str, Table | str], ...]
    """Other content of sweep.json: heading, and table or text."""
    pictures: tuple[tuple[str, str], ...]
    """Pictures that were not drawn again: name and address."""
    points: Table
    """A row for each point."""


def anchors_of(collection: Collection) -> dict[str, str]:
    """Return the id of the part about every run, by its name."""
    return {entry.name: f"run-{number}" for number, entry in enumerate(collection.entries, start=1)}


def collection_page(collection: Collection, runs: Runs, views: Sequence[RunView | None]) -> str:
    """Return the page.

    Args:
        collection: Runs and sweeps.
        runs: All runs, with their summaries where they can be read.
        views: Content of the part about every run; None for those that cannot be read.
    """
    anchors = anchors_of(collection)
    known = [summary for _, summary in runs if summary is not None]
    rows = [summary for summary in known if has_row(summary)]
    points = {
        sweep.name: [(entry, summary) for entry, summary in runs if entry.sweep == sweep.name]
        for sweep in collection.sweeps
    }
    sweeps = [
        _sweep_view(sweep, points[sweep.name], anchors, number)
        for number, sweep in enumerate(collection.sweeps, start=1)
    ]
    return (
        environment()
        .get_template("collection.html")
        .render(
            title=title_of(collection),
            subtitle=_subtitle(known),
            tiles=[pair for pair in _tiles(runs) if pair[1]],
            problems=_problems(runs, anchors),
            charts=drawn(_charts(known, anchors), "all", files=False),
            runs=tables.runs_table(runs, anchors),
            sweeps=sweeps,
            v_scores=tables.v_scores_table(rows, anchors),
            views=list(zip(collection.entries, views, anchors.values(), strict=True)),
            words=[*_kinds(known), *_WORDS],
            left_out=left_out(collection.left_out) if collection.left_out else "",
        )
    )


def collection_markdown(collection: Collection, runs: Runs) -> str:
    """Return the report of many runs as Markdown."""
    lines = [f"# {title_of(collection)}", "", tables.runs_table(runs, {}).markdown()]
    problems = [(entry.name, entry.reason) for entry, _ in runs if entry.reason]
    warned = [(entry.name, text) for entry, s in runs if s for text in s.run.result.get("warnings") or ()]
    for title, found in (("Problems", problems), ("Warnings", warned)):
        if found:
            lines += ["", f"{title}:", ""]
            lines += [f"* {_plain(name)}: {_plain(text)}" for name, text in found]
    rows = [summary for _, summary in runs if summary and has_row(summary)]
    if rows:
        lines += ["", "## VarBench", "", tables.v_scores_table(rows, {}).markdown()]
    return "\n".join([*lines, ""])


def title_of(collection: Collection) -> str:
    """Return "12 runs", or "12 runs of 2 sweeps"."""
    count = len(collection.entries)
    text = f"{count} run{'s' if count != 1 else ''}"
    if not collection.sweeps:
        return text
    if all(entry.sweep for entry in collection.entries):
        names = [sweep.name for sweep in collection.sweeps]
        return f"{names[0]}: {text}" if len(names) == 1 else f"{text} of {len(names)} sweeps"
    return f"{text}, {len(collection.sweeps)} sweep{'s' if len(collection.sweeps) != 1 else ''}"


def _plain(text: str) -> str:
    """Text of a user as one line that is no markup."""
    return " ".join(str(text).split()).replace("<", "&lt;").replace("`", "'")


def _subtitle(known: Sequence[Summary]) -> str:
    dates = sorted(str(s.run.config["created"])[:10] for s in known if s.run.config.get("created"))
    parts = []
    if dates:
        parts.append(f"started {dates[0]}" if dates[0] == dates[-1] else f"started {dates[0]} to {dates[-1]}")
    codes = list(dict.fromkeys(code_reference(s.run) for s in known))
    if codes:
        parts.append(codes[0] if len(codes) == 1 else f"{len(codes)} different commits of nnbf")
    return ", ".join(parts)


def _tiles(runs: Runs) -> list[tuple[str, str]]:
    known = [summary for _, summary in runs if summary is not None]
    done = sum(entry.status in _DONE for entry, _ in runs)
    bad = sum(entry.status in ("failed", "damaged", "changed") for entry, _ in runs)
    exact = [
        abs(s.difference) for s in known if s.difference is not None and s.is_exact and s.unit == "Hartree"
    ]
    near = sum(error <= CHEMICAL_ACCURACY for error in exact)
    seconds = [s.seconds for s in known if s.seconds]
    return [
        ("done", f"{done} of {len(runs)}"),
        ("failed or damaged", _text.count(bad) if bad else ""),
        ("not finished", _text.count(len(runs) - done - bad) if len(runs) - done - bad else ""),
        ("systems", _text.count(len({s.system for s in known}))),
        ("within 1.6 mHa of FCI", f"{near} of {len(exact)}" if exact else ""),
        ("largest error to FCI", f"{max(exact):.3g} mHa" if exact else ""),
        ("time of all runs", _text.duration(sum(seconds)) if seconds else ""),
    ]


def _problems(runs: Runs, anchors: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Anchor, name and text of every reason and warning."""
    found = []
    for entry, summary in runs:
        texts = [entry.reason] if entry.reason else []
        texts += map(str, summary.run.result.get("warnings") or []) if summary else []
        found += [(anchors[entry.name], entry.name, text) for text in texts]
    return found


def _charts(known: Sequence[Summary], anchors: Mapping[str, str]) -> list[Plot]:
    """Distances to the best references, by system and over time, for each unit."""
    from nnbf.report import figures

    plots = []
    for unit in dict.fromkeys(s.unit for s in known):
        what = "Molecules" if unit == "Hartree" else "Lattices"
        chosen = [s for s in known if s.unit == unit]
        measured = [s for s in chosen if s.difference is not None]
        if len(measured) > 1:
            draw = partial(figures.draw_distances, measured, anchors)
            plots.append(Plot(f"distances-{what.lower()}", what, "distance to the best reference", draw))
        curves = [
            (f"{s.entry.name}, to {s.reference.label}", points)
            for s in chosen
            if s.reference and len(points := _over_time(s)) > 1
        ]
        if 2 <= len(curves) <= _MOST_LINES:
            progress = partial(figures.draw_progress, curves, chosen[0].milli)
            plots.append(Plot(f"progress-{what.lower()}", what, "distance over time", progress))
    return plots


def _over_time(summary: Summary) -> list[tuple[float, float]]:
    """Seconds and distances of the steps of a run; none for several levels, which are no single curve."""
    if summary.reference is None or len(summary.run.levels) > 1:
        return []
    return [
        (row["time_s"], max(1e3 * abs(row["energy"] - summary.reference.energy), SMALLEST))
        for row in summary.run.history
        if row.get("energy") is not None and (row.get("time_s") or 0.0) > 0.0
    ]


def _kinds(known: Sequence[Summary]) -> list[tuple[str, str]]:
    from nnbf.estimate import KINDS

    kinds = {kind for s in known for kind in (s.run.result.get("estimates") or {})}
    kinds |= {s.energy.kind for s in known if s.energy is not None}
    return [(KINDS[kind][0], text) for kind, text in _DEFINITIONS.items() if kind in kinds]


def _sweep_view(sweep: SweepEntry, points: Runs, anchors: Mapping[str, str], number: int) -> SweepView:
    states = Counter(status_words(entry.status) for entry, _ in points)
    counts = ", ".join(f"{count} {name}" for name, count in states.most_common())
    content = dict(sweep.content)
    findings, used = [], set()
    analysis = content.get("analysis")
    if isinstance(analysis, Mapping):
        content.pop("limits", None)  # the first of the limits there
        pictures = {name: data for name, suffix, data in sweep.pictures if suffix == ".png"}
        for section in findings_sections(analysis):
            blocks = []
            for place, block in enumerate(section.blocks):
                shown = []
                for index, record in enumerate(block.records):
                    name = str(record.get("picture") or "").removesuffix(".png")
                    if name:
                        prefix = f"sweep-{number}-{section.kind}-{place}-{index}"
                        shown.append(_finding(section.kind, record, sweep.name, name, pictures, prefix))
                        used.add(name)
                blocks.append((block, [figure for figure in shown if figure != ("", "", "")]))
            findings.append((section.title, tuple(blocks)))
    rest = [
        (name.replace("_", " "), _address(suffix, data))
        for name, suffix, data in sweep.pictures
        if name not in used
    ]
    return SweepView(
        sweep, f"{len(points)} points: {counts}", tuple(findings), tuple(_extras(content)), tuple(rest),
        tables.points_table(points, anchors),
    )  # fmt: skip


def _finding(
    kind: str, record: Mapping[str, Any], sweep: str, name: str, pictures: Mapping[str, bytes], prefix: str
) -> tuple[str, Any, str]:
    """Description, figure and address: drawn again in the colours of the page, else as the file has it."""
    words = name.replace("_", " ")
    plot = Plot(name, kind, words, partial(_draw_finding, kind, record, sweep))
    (figure,) = drawn([plot], prefix, files=False)
    if figure.svg:
        return words, figure, ""
    return (words, "", _address(".png", pictures[name])) if name in pictures else ("", "", "")


def _draw_finding(kind: str, record: Mapping[str, Any], sweep: str) -> Any:
    from nnbf.report.sweep_figures import draw_basis_limit, draw_curve, draw_scaling

    if kind == "basis_limits":
        title = " ".join(str(word) for word in (record.get("name") or sweep, record.get("family")) if word)
        return draw_basis_limit(record, exact=record.get("exact"), title=title)
    if kind == "curves":
        constants = (record.get("constants") or {}).get("energy")
        title, label = str(record.get("name") or sweep), record["x_label"]
        return draw_curve(record["points"], x="x", x_label=label, constants=constants, title=title)
    group = "series" if any(record["series"]) else None
    return draw_scaling(
        record["points"], record["quantities"], against=record["against"], group=group, title=sweep
    )


def _address(suffix: str, content: bytes) -> str:
    return f"data:{_MEDIA[suffix]};base64,{base64.b64encode(content).decode()}"


def _extras(content: Mapping[str, Any]) -> list[tuple[str, Table | str]]:
    """Everything in sweep.json beside points and analysis, as tables and text, whatever it is."""
    found: list[tuple[str, Table | str]] = []
    for key, value in content.items():
        if key in _KNOWN:
            continue
        shown = tables.extra_table(value) or tables.brief(value)
        if isinstance(shown, str) and isinstance(value, Mapping):
            pairs = [(name, tables.brief(item)) for name, item in value.items()]
            shown = Table(["", ""], [(name, text) for name, text in pairs if text])
        if (isinstance(shown, str) and not shown) or (isinstance(shown, Table) and not shown.columns):
            continue
        found.append((_TITLES.get(key, key.replace("_", " ").capitalize()), shown))
    return found
