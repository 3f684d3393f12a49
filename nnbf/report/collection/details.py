"""All that is known of one run, as a part of the page that unfolds."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nnbf.report import _skeleton as html
from nnbf.report import numbers
from nnbf.report.collection.charts import run_chart
from nnbf.report.collection.method import sector_words, settings
from nnbf.report.collection.records import hardware
from nnbf.report.collection.sources import Entry
from nnbf.report.collection.summary import Summary, references
from nnbf.report.collection.varbench import code_reference
from nnbf.report.energies import missing_references, truncation_lines
from nnbf.report.observables import density_checks, determinant_rows, observable_rows
from nnbf.report.page import energies_table, history_table, status_words

BADGES = {
    "converged": "good",
    "failed": "bad",
    "damaged": "bad",
    "changed": "bad",
    "broken off": "bad",
}
"""Class of a status; others have none."""


_LONGEST = 400  # characters of a value


def status_mark(status: str) -> str:
    """Return a status as HTML."""
    return f'<span class="status {BADGES.get(status, "")}">{escape(status_words(status))}</span>'


def run_details(entry: Entry, summary: Summary | None, anchor: str) -> str:
    """Return the part of the page about a run.

    Args:
        entry: The run.
        summary: None where its files cannot be read.
        anchor: Its id in the page.
    """
    body = _problem(entry)
    what = value = ""
    if summary is not None:
        what = summary.system if summary.system != entry.name else ""
        if summary.energy is not None:
            value = f"{numbers.bracketed(summary.energy, summary.error)} {summary.unit}"
        body += _body(summary)
    return (
        f'<details class="run" id="{anchor}"><summary><span>{escape(entry.name)}</span>'
        f'<span class="what">{escape(what)}</span>{status_mark(entry.status)}'
        f'<span class="value">{escape(value)}</span></summary>\n<div class="body">{body}</div></details>'
    )


def text_of(value: Any) -> str:
    """Return any value of a JSON file as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text_of(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(
            f"({text_of(v)})" if isinstance(v, list | tuple | Mapping) else text_of(v) for v in value
        )
    return numbers.setting(value)


def _problem(entry: Entry) -> str:
    if not entry.reason:
        return ""
    head = "The run failed" if entry.status == "failed" else status_words(entry.status).capitalize()
    return f'<p class="warning"><strong>{escape(head)}:</strong> {escape(entry.reason)}</p>'


def _body(summary: Summary) -> str:
    run, result = summary.run, summary.run.result
    estimates = dict(result.get("estimates") or {})
    if summary.energy is not None:
        estimates.setdefault(summary.kind, {"energy": summary.energy, "error": summary.error})
    table = energies_table({**result, "references": references(run), "estimates": estimates})
    notes = [f"{name} was not computed: {why}." for name, why in missing_references(result)]
    notes += [f"{line}." for line in truncation_lines(result)]
    left = [f"<h4>Energies</h4>{table}", *(f'<p class="quiet">{escape(note)}</p>' for note in notes)]
    left.append(_charge_gap(result))
    chart = run_chart(summary)
    right = [f"<h4>Convergence</h4>{chart}" if chart else ""]
    more = [
        _unfolded("Observables", _observables(result)),
        _unfolded("Levels", _levels(result)),
        _unfolded("Excitations", _excitations(result)),
        _unfolded("Stages of the variational space", "" if run.is_lattice else history_table(run)),
        _unfolded("Geometry", _geometry(result)),
        html.pairs("System", _pairs(result.get("system") or {}, skip=("atoms",))),
        html.pairs("What was asked for", _pairs(run.config.get("problem") or {})),
        html.pairs(
            "Sectors and limits", _pairs({**_object(run.config, "sectors"), **_object(run.config, "limits")})
        ),
        html.pairs("Options of the solver", _pairs(settings(run))),
        html.pairs("Versions and hardware", _versions(summary)),
        html.pairs("Evaluation", _evaluation(run.evaluation)),
        html.pairs("Checks of the density matrices", list(density_checks(result).items())),
    ]
    return "\n".join(
        [
            html.warnings(result.get("warnings") or []),
            html.tiles(_tiles(summary)),
            f'<div class="side"><div>{"".join(left)}</div><div>{"".join(right)}</div></div>',
            f'<div class="more">{"".join(more)}</div>',
            _reproduce(summary),
        ]
    )


def _tiles(summary: Summary) -> list[tuple[str, str]]:
    result = summary.run.result
    spin = result.get("s_squared")
    sampled = result.get("n_determinants") is None
    return [
        ("states of the sector" if sampled else "|V|, determinants", numbers.count(summary.states)),
        ("|C|, connected", numbers.count(result.get("n_connected"))),
        ("parameters", numbers.count(summary.n_parameters)),
        ("variance", numbers.small(summary.variance)),
        ("E∞", "" if summary.hot.energy is None else numbers.bracketed(summary.hot.energy, None, digits=6)),
        ("degrees of freedom", numbers.count(summary.dof)),
        ("V-score", numbers.small(summary.v_score)),
        ("⟨S²⟩", "" if spin is None else f"{abs(spin):.4f}"),
        ("steps", numbers.count(result.get("n_steps"))),
        ("time", numbers.seconds(summary.seconds)),
        ("seed", numbers.count(result.get("seed"))),
        ("sector", sector_words(result.get("sector"))),
    ]


def _observables(result: Mapping[str, Any]) -> str:
    found = result.get("observables") or {}
    rows = [[row.label, row.value, row.unit, row.kind] for row in observable_rows(result)]
    symmetry, ratio = found.get("symmetry") or {}, found.get("correlation_ratio") or {}
    if symmetry.get("irrep"):
        rows.append(["irrep, measured", str(symmetry["irrep"]), "", str(symmetry.get("kind", ""))])
    if ratio.get("value") is not None:
        shown = numbers.bracketed(ratio["value"], ratio.get("error"), digits=4)
        rows.append(["correlation ratio", shown, "", str(ratio.get("kind", ""))])
    parts = [html.table(["", "value", "unit", "kind"], rows)] if rows else []
    largest = determinant_rows(result)
    if largest:
        parts.append(html.table(["alpha orbitals", "beta orbitals", "weight"], largest, numbers=(2,)))
    return "".join(parts)


def _levels(result: Mapping[str, Any]) -> str:
    levels = result.get("sectors") or []
    if len(levels) < 2:
        return ""
    lowest = min(level["energy"] for level in levels)
    rows = [
        [
            sector_words(level),
            numbers.count(level.get("level")),
            numbers.bracketed(level["energy"], level.get("error")),
            numbers.difference(1e3 * (level["energy"] - lowest)) if level["energy"] > lowest else "",
            numbers.difference(1e3 * (level["energy"] - level["reference"]))
            if level.get("reference") is not None
            else "",
            numbers.small(level.get("variance")),
            numbers.count(level.get("n_states")),
        ]
        for level in levels
    ]
    heads = ["sector", "level", "energy", "above lowest", "to ED", "variance", "states"]
    return html.table(heads, rows, numbers=range(1, 7))


def _charge_gap(result: Mapping[str, Any]) -> str:
    exact = result.get("exact") or {}
    names = (("mu_minus", "E(N) - E(N-1)"), ("mu_plus", "E(N+1) - E(N)"), ("charge_gap", "charge gap"))
    rows = [
        [label, numbers.energy(result[key]), numbers.energy(exact.get(key))]
        for key, label in names
        if result.get(key) is not None
    ]
    return (
        f"<h4>Charge gap</h4>{html.table(['', 'energy (t)', 'exact'], rows, numbers=(1, 2))}" if rows else ""
    )


def _excitations(result: Mapping[str, Any]) -> str:
    rows = [
        [
            f"({','.join(map(str, found['momentum']))})",
            "removal" if found["change"] < 0 else "addition",
            numbers.energy(found.get("energy")),
            numbers.bracketed(found.get("weight"), found.get("weight_error"), digits=6),
        ]
        for found in result.get("excitations") or []
    ]
    return html.table(["momentum", "", "energy (t)", "weight"], rows, numbers=(2, 3)) if rows else ""


def _geometry(result: Mapping[str, Any]) -> str:
    atoms = (result.get("system") or {}).get("atoms") or []
    if not atoms:
        return ""
    lines = [f"{symbol:<2} {x:14.8f} {y:14.8f} {z:14.8f}" for symbol, (x, y, z) in atoms]
    return f'<pre>{escape(chr(10).join(lines))}</pre><p class="quiet">in angstrom</p>'


def _versions(summary: Summary) -> list[tuple[str, str]]:
    run = summary.run
    found = _pairs(run.result.get("versions") or {})
    found.append(("code", code_reference(run.result.get("versions") or {}, run.config.get("git"))))
    return found + _pairs(hardware(run.config) or {})


def _evaluation(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    return _pairs(evaluation, skip=("rounds", "points", "versions"))


def _reproduce(summary: Summary) -> str:
    config = summary.run.config
    lines = []
    if config.get("command_line"):
        lines.append(f"<p><code>{escape(str(config['command_line']))}</code></p>")
    started = config.get("created") or config.get("started")
    if started:
        lines.append(f'<p class="quiet">started {escape(str(started))}</p>')
    lines.append(f'<p class="quiet">{escape(summary.method)}</p>')
    return f"<h4>Reproduce</h4>{''.join(lines)}"


def _unfolded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>" if content else ""


def _pairs(content: Mapping[str, Any], skip: Sequence[str] = ()) -> list[tuple[str, str]]:
    texts = ((str(key), text_of(value)) for key, value in content.items() if key not in skip)
    return [
        (key, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (all in records.json)")
        for key, text in texts
    ]


def _object(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = config.get(key)
    return found if isinstance(found, Mapping) else {}
