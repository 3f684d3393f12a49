"""index.html: one page about many runs, whole in one file."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from nnbf.report import _skeleton as html
from nnbf.report import numbers
from nnbf.report.collection._tables import Cell, Head, sortable
from nnbf.report.collection.charts import error_chart, progress_chart
from nnbf.report.collection.details import status_mark
from nnbf.report.collection.hamiltonian import OF_LATTICES, OF_MOLECULES
from nnbf.report.collection.markdown import difference, title
from nnbf.report.collection.sources import Collection, Entry, left_out
from nnbf.report.collection.summary import Summary
from nnbf.report.collection.sweep_part import sweep_part
from nnbf.report.collection.varbench import VarBenchRow, code_reference
from nnbf.report.energies import KINDS
from nnbf.report.page import status_words

Runs = Sequence[tuple[Entry, Summary | None]]

_CHEMICAL_ACCURACY = 1.6  # mHa
_UNITS = {"Hartree": "Ha"}
_DONE = ("converged", "max_steps", "time_limit")
_HEADS = (
    Head("run"),
    Head("system"),
    Head("energy", True, "with the standard error of its last digits in brackets", "energy"),
    Head("unit"),
    Head("kind", title="which energy it is: see the words below"),
    Head("difference", True, "energy less that of the best reference"),
    Head("to"),
    Head("variance", True),
    Head("V-score", True, "degrees of freedom · variance / (energy − E∞)²"),
    Head("states", True, "determinants in V, or states of the symmetry sector"),
    Head("parameters", True),
    Head("time", True),
    Head("status"),
)
_VARBENCH_HEADS = (
    Head("system"),
    Head("energy", True, name="energy"),
    Head("sigma", True),
    Head("variance", True),
    Head("dof", True, "degrees of freedom: particles"),
    Head("E∞", True),
    Head("V-score", True),
    Head("kind"),
    Head("method", name="wrap"),
    Head("reference"),
    Head("file of VarBench"),
)
_DEFINITIONS = {
    "variational": "⟨ψ|H|ψ⟩ / ⟨ψ|ψ⟩ on a list V of determinants: an upper bound, without statistical error",
    "full_sum": "Rayleigh quotient over the whole symmetry sector: an upper bound, without statistical error",
    "vmc": "mean of the local energy over samples: an upper bound within its error",
    "projected": "local energies averaged over V, with all that H connects: no bound",
    "pt2": "variational plus second-order correction: no bound",
    "extrapolated": "continued to no correction, or no variance, with the error of the fit: no bound",
}


def collection_page(
    collection: Collection, runs: Runs, rows: Sequence[VarBenchRow], details: Sequence[str]
) -> str:
    """Return the page.

    Args:
        collection: What was given.
        runs: All runs, with their summaries where they can be read.
        rows: Those of VarBench.
        details: The part about every run; see `run_details`.
    """
    names = anchors(runs)
    by_name = {entry.name: (entry, summary) for entry, summary in runs}
    sweeps = [
        sweep_part(sweep, [by_name[e.name] for e in collection.of_sweep(sweep.name)], names, number)
        for number, sweep in enumerate(collection.sweeps, start=1)
    ]
    parts = [
        f"<h1>{escape(title(collection))}</h1>",
        f'<p class="quiet">{escape(_subtitle(runs))}</p>',
        _contents(collection, rows),
        html.tiles(_tiles(runs)),
        _problems(runs, names),
        _charts(runs, names),
        '<h2 id="all-runs">Runs</h2>',
        _FILTER,
        sortable(_HEADS, [_row(entry, summary, names) for entry, summary in runs], "All runs", name="runs"),
        *sweeps,
        _varbench(rows, names),
        '<h2 id="details">Every run in detail</h2>',
        _FOLDING,
        *details,
        _words(runs),
        _foot(collection),
    ]
    resources = files("nnbf.report.collection")
    style, script = ((resources / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return html.page(f"nnbf: {title(collection)}", parts, style=style, script=script)


def anchors(runs: Runs) -> dict[str, str]:
    """Return the id of the part about every run, by its name."""
    return {entry.name: f"run-{number}" for number, (entry, _) in enumerate(runs, start=1)}


_FILTER = (
    '<div class="tools" hidden><label for="filter" class="hidden">Show runs with these words</label>'
    '<input id="filter" type="search" placeholder="Filter: N2 vmc converged …" autocomplete="off">'
    '<output id="count" for="filter"></output><span id="said" class="hidden" aria-live="polite"></span></div>'
)
_FOLDING = (
    '<div class="tools" hidden><button type="button" id="open-all">Unfold all</button>'
    '<button type="button" id="close-all">Fold all</button></div>'
)


def _subtitle(runs: Runs) -> str:
    known = [summary for _, summary in runs if summary is not None]
    dates = sorted(
        str(date)[:10]
        for s in known
        if (date := s.run.config.get("created") or s.run.config.get("started")) is not None
    )
    parts = []
    if dates:
        parts.append(f"started {dates[0]}" if dates[0] == dates[-1] else f"started {dates[0]} to {dates[-1]}")
    codes = list(
        dict.fromkeys(
            code_reference(s.run.result.get("versions") or {}, s.run.config.get("git")) for s in known
        )
    )
    if codes:
        parts.append(codes[0] if len(codes) == 1 else f"{len(codes)} different commits of nnbf")
    return ", ".join(parts)


def _contents(collection: Collection, rows: Sequence[VarBenchRow]) -> str:
    links = [("all-runs", "Runs")]
    links += [(f"sweep-{k}", f"Sweep {sweep.name}") for k, sweep in enumerate(collection.sweeps, start=1)]
    links += [("varbench", "VarBench rows")] if rows else []
    links += [("details", "Every run in detail"), ("words", "Words")]
    inner = "".join(f'<a href="#{target}">{escape(name)}</a>' for target, name in links)
    return f'<nav aria-label="Contents">{inner}</nav>'


def _tiles(runs: Runs) -> list[tuple[str, str]]:
    known = [summary for _, summary in runs if summary is not None]
    done = sum(entry.status in _DONE for entry, _ in runs)
    bad = sum(entry.status in ("failed", "damaged", "changed") for entry, _ in runs)
    exact = [
        abs(s.difference)
        for s in known
        if s.difference is not None and s.yardstick and s.yardstick.is_exact and s.unit == "Hartree"
    ]
    near = sum(error <= _CHEMICAL_ACCURACY for error in exact)
    seconds = [s.seconds for s in known if s.seconds]
    return [
        ("done", f"{done} of {len(runs)}"),
        ("failed or damaged", numbers.count(bad) if bad else ""),
        ("not finished", numbers.count(len(runs) - done - bad) if len(runs) - done - bad else ""),
        ("systems", numbers.count(len({s.system for s in known}))),
        ("within 1.6 mHa of FCI", f"{near} of {len(exact)}" if exact else ""),
        ("largest error to FCI", f"{max(exact):.3g} mHa" if exact else ""),
        ("time of all runs", numbers.seconds(sum(seconds)) if seconds else ""),
    ]


def _problems(runs: Runs, names: Mapping[str, str]) -> str:
    lines = []
    for entry, summary in runs:
        texts = [entry.reason] if entry.reason else []
        texts += map(str, summary.run.result.get("warnings") or []) if summary else []
        lines += [
            f'<p class="warning"><a href="#{names[entry.name]}">{escape(entry.name)}</a>: {escape(text)}</p>'
            for text in texts
        ]
    if not lines:
        return ""
    count = f"{len(lines)} warning{'s' if len(lines) != 1 else ''}"
    fold = "" if len(lines) > 5 else " open"
    return f"<details{fold}><summary>{count}</summary>{''.join(lines)}</details>"


def _charts(runs: Runs, names: Mapping[str, str]) -> str:
    known = [summary for _, summary in runs if summary is not None]
    parts = []
    for unit in dict.fromkeys(s.unit for s in known):
        what = "Molecules" if unit == "Hartree" else "Lattices"
        by_system = error_chart(known, names, unit)
        over_time = progress_chart(known, unit)
        if by_system:
            parts.append(f"<div><h3>{what}: distance to the best reference</h3>{by_system}</div>")
        if over_time:
            parts.append(f"<div><h3>{what}: distance over time</h3>{over_time}</div>")
    return f'<div class="charts">{"".join(parts)}</div>' if parts else ""


def _row(entry: Entry, summary: Summary | None, names: Mapping[str, str]) -> list[Cell]:
    link = Cell(f'<a href="#{names[entry.name]}">{escape(entry.name)}</a>', entry.name, markup=True)
    status = Cell(status_mark(entry.status), status_words(entry.status), markup=True)
    if summary is None:
        return [link, *[Cell("")] * (len(_HEADS) - 2), status]
    return [
        link,
        Cell(summary.system),
        Cell(numbers.bracketed(summary.energy, summary.error), summary.energy),
        Cell(_UNITS.get(summary.unit, summary.unit)),
        Cell(KINDS.get(summary.kind, (summary.kind, ""))[0] if summary.energy is not None else ""),
        Cell(difference(summary), summary.difference),
        Cell(summary.yardstick.label if summary.yardstick else ""),
        Cell(numbers.small(summary.variance), summary.variance),
        Cell(numbers.small(summary.v_score), summary.v_score),
        Cell(numbers.count(summary.states), summary.states),
        Cell(numbers.count(summary.n_parameters), summary.n_parameters),
        Cell(numbers.seconds(summary.seconds), summary.seconds),
        status,
    ]


def _varbench(rows: Sequence[VarBenchRow], names: Mapping[str, str]) -> str:
    if not rows:
        return ""
    cells = [
        [
            Cell(f'<a href="#{names[row.run]}">{escape(row.system)}</a>', row.system, markup=True),
            Cell(numbers.energy(row.energy), row.energy),
            Cell(numbers.small(row.sigma), row.sigma),
            Cell(numbers.small(row.variance), row.variance),
            Cell(numbers.count(row.dof), row.dof),
            Cell("" if row.einf is None else numbers.bracketed(row.einf, None, digits=6), row.einf),
            Cell(numbers.small(row.v_score), row.v_score),
            Cell(KINDS.get(row.kind, (row.kind, ""))[0]),
            Cell(row.method),
            Cell(row.reference),
            Cell(row.file or ""),
        ]
        for row in rows
    ]
    return (
        '<h2 id="varbench">VarBench rows</h2>\n<p class="quiet">With all digits in varbench.csv, beside this '
        "page.</p>\n" + sortable(_VARBENCH_HEADS, cells, "VarBench rows", name="varbench-rows")
    )


def _words(runs: Runs) -> str:
    kinds = dict.fromkeys(
        kind for _, s in runs if s is not None for kind in (s.kind, *(s.run.result.get("estimates") or {}))
    )
    words = [(KINDS[kind][0], _DEFINITIONS[kind]) for kind in _DEFINITIONS if kind in kinds]
    words += [
        (
            "energy with brackets",
            "−107.6528(3) is −107.6528 with a standard error of 0.0003; without brackets it is a sum without "
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
    ]
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}.</dd>" for name, text in words)
    return f'<h2 id="words">Words</h2><dl class="words">{inner}</dl>'


def _foot(collection: Collection) -> str:
    lines = [
        "Beside this page: report.md and tables.tex (tables), varbench.csv (rows for VarBench), records.json "
        "(everything, for a leaderboard)."
    ]
    if collection.left_out:
        lines.append(f"Left out: {left_out(collection.left_out)}.")
    return "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)
