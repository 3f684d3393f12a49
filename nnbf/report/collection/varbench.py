"""Rows as VarBench has them (Wu et al., Science 386, 296 (2024)): enough for a V-score by anyone."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnbf._text import markdown_table as table
from nnbf.report import numbers
from nnbf.report.collection.hamiltonian import varbench_file
from nnbf.report.collection.summary import Summary
from nnbf.report.energies import KINDS

COLUMNS = (
    "energy",
    "sigma",
    "variance",
    "dof",
    "einf",
    "v_score",
    "method",
    "reference",
    "kind",
    "unit",
    "system",
    "file",
    "run",
)
"""Columns of varbench.csv: those of VarBench and the V-score, then what they belong to."""

_HEADS = ("Energy", "Sigma", "Energy Variance", "DOF", "Einf", "V-score", "Method", "Reference")


@dataclass(frozen=True)
class VarBenchRow:
    """One row. Energies are of the whole system, in `unit`."""

    energy: float
    """Energy expectation value of the state."""
    sigma: float | None
    """Its standard error; None for sums that have none."""
    variance: float | None
    """<H^2> - <H>^2."""
    dof: int | None
    """Degrees of freedom: particles."""
    einf: float | None
    """Energy at infinite temperature."""
    v_score: float | None
    """dof * variance / (energy - einf)^2."""
    method: str
    """The method in words."""
    reference: str
    """Where the number comes from: program, version, commit."""
    kind: str
    """Which energy it is; see docs/energies.md."""
    unit: str
    """Hartree, or t."""
    system: str
    """What was solved."""
    file: str | None
    """File of VarBench for this Hamiltonian, where it has a name for it."""
    run: str
    """Name of the run."""


def varbench_row(summary: Summary) -> VarBenchRow | None:
    """Return the row of a run; None for one that has not ended with an energy."""
    if summary.energy is None or not summary.run.finished or summary.entry.status == "failed":
        return None
    run = summary.run
    file = varbench_file(run.result.get("system") or {}) if run.is_lattice else None
    return VarBenchRow(
        energy=summary.energy,
        sigma=summary.error,
        variance=summary.variance,
        dof=summary.dof,
        einf=summary.hot.energy,
        v_score=summary.v_score,
        method=summary.method,
        reference=code_reference(run.result.get("versions") or {}, run.config.get("git")),
        kind=summary.kind,
        unit=summary.unit,
        system=summary.system,
        file=file,
        run=summary.entry.name,
    )


def code_reference(versions: Mapping[str, str | None], git: Mapping[str, object] | None) -> str:
    """Return the program behind a number: "nnbf 0.1.0 (commit 0123456789)"."""
    name = f"nnbf {versions.get('nnbf') or ''}".strip()
    if not git or not git.get("commit"):
        return name
    changed = ", with changes" if git.get("modified") else ""
    return f"{name} (commit {str(git['commit'])[:10]}{changed})"


def varbench_csv(rows: Sequence[VarBenchRow]) -> str:
    """Return rows as CSV; numbers come back bit by bit, what is unknown stays empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = [getattr(row, column) for column in COLUMNS]
        writer.writerow(["" if value is None else value for value in values])
    return stream.getvalue()


def varbench_markdown(rows: Sequence[VarBenchRow]) -> str:
    """Return rows as a table in the format of VarBench's files, with the V-score and the system."""
    lines = [[row.system, *varbench_cells(row)] for row in rows]
    return table(["System", *_HEADS], lines, numbers=range(1, 7))


def varbench_cells(row: VarBenchRow) -> list[str]:
    """Return the values of VarBench's columns as text, with all digits of the energy."""
    return [
        f"{row.energy:.12g}" if row.sigma is None else f"{row.energy:.10g}",
        "" if row.sigma is None else f"{row.sigma:.2e}",
        "" if row.variance is None else f"{row.variance:.4e}",
        numbers.count(row.dof),
        "" if row.einf is None else f"{row.einf:.10g}",
        "" if row.v_score is None else f"{row.v_score:.3e}",
        f"{row.method}; {KINDS.get(row.kind, (row.kind, ''))[0]} energy",
        row.reference,
    ]
