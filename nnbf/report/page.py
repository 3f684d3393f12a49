"""The page of one run: the energy, what it can be compared with, how it was reached, how it was asked for."""

from collections.abc import Mapping
from html import escape
from typing import Any

from nnbf.report import _skeleton as html
from nnbf.report import numbers
from nnbf.report.energies import (
    KINDS,
    best_reference,
    energy_rows,
    error_unit,
    missing_references,
    truncation_lines,
)
from nnbf.report.observables import density_checks, determinant_rows, observable_rows
from nnbf.report.runs import RunRecord
from nnbf.report.stages import stages

_BADGES = {"converged": "good", "failed": "bad"}
_STATUS = {"time_limit": "time limit", "max_steps": "step limit"}


def run_page(run: RunRecord, images: Mapping[str, bytes], fits: Mapping[str, bytes] | None = None) -> str:
    """Return the HTML page of a run.

    Args:
        run: What its folder says.
        images: The plot as PNG; see `nnbf.report._skeleton.picture`.
        fits: The plot of the extrapolations, where there is one.
    """
    result = run.result
    return html.page(
        f"nnbf: {run.title}",
        [
            _head(run),
            html.warnings(result.get("warnings") or []),
            _failure(result),
            html.tiles(_facts(result)),
            html.picture(images, f"Energy error of {run.title} against steps and time"),
            "<h2>Energies</h2>",
            energies_table(result),
            _missing(result),
            _extrapolations(fits),
            _observables(result),
            _history(run),
            "<h2>Details</h2>",
            html.pairs("System", _settings(result.get("system") or {}, skip=("atoms",))),
            html.pairs("What was asked for", _settings(run.config.get("problem") or {})),
            html.pairs("Options of the solver", _settings(run.config.get("options") or {})),
            html.pairs("Versions", _versions(run)),
            _foot(run),
        ],
    )


def energies_table(result: Mapping[str, Any]) -> str:
    """Return all energies of a result as an HTML table."""
    rows = energy_rows(result)
    yardstick = best_reference(result.get("references") or {})
    unit = result.get("energy_unit") or "Hartree"
    versus = f"{error_unit(result)} to {yardstick.label}" if yardstick else "difference"
    first_own = next((k for k, row in enumerate(rows) if not row.is_reference), len(rows))
    classes = [" ".join(["main"] * row.is_main + ["start"] * (k == first_own)) for k, row in enumerate(rows)]
    has_error = any(row.error for row in rows)
    heads = ["", f"energy ({unit})", *(["±"] if has_error else []), versus, "upper bound", "note"]
    cells = [
        [
            row.label,
            numbers.energy(row.energy),
            *([numbers.error(row.error)] if has_error else []),
            numbers.difference(row.difference),
            row.upper_bound,
            row.note,
        ]
        for row in rows
    ]
    last = len(heads) - 1
    return html.table(heads, cells, numbers=range(1, last - 1), notes=(last,), classes=classes)


def _observables(result: Mapping[str, Any]) -> str:
    rows = observable_rows(result)
    if not rows:
        return ""
    cells = [[row.label, row.value, row.unit, row.kind] for row in rows]
    parts = ["<h2>Observables</h2>", html.table(["", "value", "unit", "kind"], cells)]
    found = determinant_rows(result)
    if found:
        heads = ["alpha orbitals", "beta orbitals", "weight"]
        parts += ["<h2>Largest determinants</h2>", html.table(heads, found, numbers=(2,))]
    checks = density_checks(result)
    if checks:
        parts.append(html.pairs("Checks of the density matrices", list(checks.items())))
    return "\n".join(parts)


def _extrapolations(fits: Mapping[str, bytes] | None) -> str:
    if not fits:
        return ""
    what = "Energies at the end of every stage against second-order correction and variance, with fits"
    return f"<h2>Extrapolation</h2>\n{html.picture(fits, what)}"


def status_words(status: str | None) -> str:
    """Return the status of a run in words."""
    return _STATUS.get(status or "", status or "unknown")


def _head(run: RunRecord) -> str:
    result = run.result
    status = result.get("status")
    badge = f'<span class="badge {_BADGES.get(status or "", "")}">{escape(status_words(status))}</span>'
    lines = [f"<h1>{escape(run.title)} {badge}</h1>", f'<p class="quiet">{escape(_subtitle(result))}</p>']
    if result.get("energy") is None:
        return "\n".join([*lines, '<p class="headline">no energy yet</p>'])
    unit = result.get("energy_unit") or "Hartree"
    error = result.get("energy_error")
    value = numbers.energy(result["energy"]) + (f" ± {error:.1e}" if error else "")
    lines.append(f'<p class="headline">{value} <small>{escape(unit)}</small></p>')
    kind = str(result.get("energy_kind"))
    label, bound = KINDS.get(kind, (kind, "no"))
    bounds = {"yes": "an upper bound", "no": "not an upper bound"}.get(
        bound, "an upper bound within its error"
    )
    which = "Last energy before the run failed, of" if status == "failed" else "Energy of"
    sentence = f"{which} kind “{label}”, {bounds} of the ground state"
    main = next((row for row in energy_rows(result) if row.is_main), None)
    yardstick = best_reference(result.get("references") or {})
    if main is not None and main.difference is not None and yardstick is not None:
        sentence += f"; {numbers.difference(main.difference)} {error_unit(result)} to {yardstick.label}"
        if not yardstick.is_exact:
            sentence += ", the best reference here, which is not exact"
    lines.append(f"<p>{escape(sentence)}.</p>")
    return "\n".join(lines)


def _subtitle(result: Mapping[str, Any]) -> str:
    system = result.get("system") or {}
    parts = []
    if system.get("n_electrons") is not None:
        parts.append(f"{system['n_electrons']} electrons in {system.get('n_orbitals')} orbitals")
    for key, words in (("charge", "charge"), ("two_S", "2S =")):
        if system.get(key) is not None:
            parts.append(f"{words} {system[key]}")
    if system.get("point_group"):
        parts.append(str(system["point_group"]))
    if system.get("n_frozen_core"):
        parts.append(f"{system['n_frozen_core']} frozen orbitals")
    if system.get("fci_dimension"):
        parts.append(f"{numbers.count(system['fci_dimension'])} determinants in all")
    return ", ".join(parts)


def _failure(result: Mapping[str, Any]) -> str:
    if result.get("status") != "failed":
        return ""
    return f'<p class="warning"><strong>The run failed:</strong> {escape(str(result.get("message")))}</p>'


def _facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    spin = result.get("s_squared")
    return [
        ("|V|, determinants", numbers.count(result.get("n_determinants"))),
        ("|C|, connected", numbers.count(result.get("n_connected"))),
        ("parameters", numbers.count(result.get("n_parameters"))),
        ("variance", numbers.small(result.get("variance"))),
        ("V-score", numbers.small(result.get("v_score"))),
        ("⟨S²⟩", "" if spin is None else f"{abs(spin):.4f}"),
        ("steps", numbers.count(result.get("n_steps"))),
        ("time", numbers.seconds(result.get("wall_time_s"))),
    ]


def _missing(result: Mapping[str, Any]) -> str:
    lines = [f"{name} was not computed: {why}." for name, why in missing_references(result)]
    lines += [f"{line}." for line in truncation_lines(result)]
    return "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)


def _history(run: RunRecord) -> str:
    found = history_table(run)
    return f"<h2>Stages of the variational space</h2>\n{found}" if found else ""


def history_table(run: RunRecord) -> str:
    """Return what every stage of the variational space reached as an HTML table; nothing without stages."""
    found = stages(run.history)
    if not found:
        return ""
    yardstick = best_reference(run.result.get("references") or {})
    rows = []
    for stage in found:
        above = None
        if yardstick is not None and stage.energy is not None:
            above = 1e3 * (stage.energy - yardstick.energy)
        rows.append(
            [
                f"{stage.first_step}–{stage.last_step}",
                numbers.count(stage.n_space),
                numbers.count(stage.n_connected),
                numbers.energy(stage.energy),
                numbers.difference(above),
                numbers.small(stage.variance),
                numbers.seconds(stage.time_s),
            ]
        )
    versus = f"{error_unit(run.result)} to {yardstick.label}" if yardstick else "difference"
    heads = ["steps", "|V|", "|C|", "energy at the end", versus, "variance on V", "time"]
    return html.table(heads, rows, numbers=range(1, 7))


def _settings(content: Mapping[str, Any], skip: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(key, numbers.setting(value)) for key, value in content.items() if key not in skip]


def _versions(run: RunRecord) -> list[tuple[str, str]]:
    found = _settings(run.result.get("versions") or {})
    git = run.config.get("git")
    if git:
        changed = ", with changes" if git.get("modified") else ""
        found.append(("git commit", f"{git.get('commit')}{changed}"))
    return found


def _foot(run: RunRecord) -> str:
    lines = []
    if run.config.get("command_line"):
        lines.append(f"<p><code>{escape(run.config['command_line'])}</code></p>")
    facts = [f"seed {run.result.get('seed')}"]
    if run.config.get("created"):
        facts.insert(0, f"started {run.config['created']}")
    lines.append(f'<p class="quiet">{escape(", ".join(facts))}</p>')
    return "<h2>Reproduce</h2>\n" + "\n".join(lines)
