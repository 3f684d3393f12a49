"""The tables of a report as Markdown, for a paper's supplement or an issue."""

from nnbf._text import markdown_table as table
from nnbf.report import numbers
from nnbf.report.energies import (
    best_reference,
    energy_rows,
    error_unit,
    missing_references,
    truncation_lines,
)
from nnbf.report.observables import determinant_rows, observable_rows
from nnbf.report.runs import RunRecord


def run_markdown(run: RunRecord) -> str:
    """Return the report of a run as Markdown."""
    result = run.result
    yardstick = best_reference(result.get("references") or {})
    unit = result.get("energy_unit") or "Hartree"
    versus = f"{error_unit(result)} to {yardstick.label}" if yardstick else "difference"
    rows = [
        [
            f"**{row.label}**" if row.is_main else row.label,
            numbers.energy(row.energy),
            numbers.error(row.error),
            numbers.difference(row.difference),
            row.upper_bound,
        ]
        for row in energy_rows(result)
    ]
    facts = [
        ("status", str(result.get("status"))),
        ("determinants in V", numbers.count(result.get("n_determinants"))),
        ("connected determinants", numbers.count(result.get("n_connected"))),
        ("parameters", numbers.count(result.get("n_parameters"))),
        ("variance", numbers.small(result.get("variance"))),
        ("V-score", numbers.small(result.get("v_score"))),
        ("<S²>", "" if result.get("s_squared") is None else f"{abs(result['s_squared']):.4f}"),
        ("time", numbers.seconds(result.get("wall_time_s"))),
        ("command", f"`{run.config['command_line']}`" if run.config.get("command_line") else ""),
    ]
    lines = [f"# {run.title}", ""]
    lines += [f"> **Warning:** {text}\n" for text in result.get("warnings") or []]
    lines += [table(["", f"energy ({unit})", "±", versus, "upper bound"], rows, numbers=(1, 2, 3)), ""]
    lines += [f"{name} was not computed: {why}.\n" for name, why in missing_references(result)]
    lines += [f"{line}.\n" for line in truncation_lines(result)]
    lines += [f"* {name}: {value}" for name, value in facts if value]
    observables = [[row.label, row.value, row.unit, row.kind] for row in observable_rows(result)]
    if observables:
        lines += ["", table(["observable", "value", "unit", "kind"], observables)]
    determinants = determinant_rows(result)
    if determinants:
        lines += ["", table(["alpha orbitals", "beta orbitals", "weight"], determinants, numbers=(2,))]
    lines += ["", "![Energy error against steps and time](energy.png)", ""]
    return "\n".join(lines)
