r"""tables.tex: energies for a paper, with booktabs, to be read by \input."""

import re
from collections.abc import Iterable, Sequence

from nnbf.report import numbers
from nnbf.report.collection.markdown import differing
from nnbf.report.collection.summary import Summary
from nnbf.report.collection.varbench import VarBenchRow
from nnbf.report.energies import KINDS

_PREAMBLE = r"""% Needs \usepackage{booktabs} and \usepackage{longtable}; UTF-8 in system names as usual.
"""
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "⟨": r"\ensuremath{\langle}",
    "⟩": r"\ensuremath{\rangle}",
    "²": r"\ensuremath{^2}",
    "±": r"\ensuremath{\pm}",
    "\u202f": r"\,",
}
_QUOTE = re.compile("|".join(re.escape(character) for character in _ESCAPES))


def escape(text: str) -> str:
    """Return text as LaTeX prints it; characters that fonts of LaTeX lack become question marks."""
    quoted = _QUOTE.sub(lambda match: _ESCAPES[match.group()], " ".join(text.split()))
    return "".join(c if c.isascii() or (c.isalpha() and ord(c) < 0x180) else "?" for c in quoted)


def number(text: str) -> str:
    """Return a number with a proper minus sign and power of ten: "1.2e-06" becomes 1.2 x 10^-6."""
    if not text:
        return ""
    plain = text.replace(numbers.MINUS, "-").replace("\u202f", r"\,")
    mantissa, exponent, power = plain.partition("e")
    return f"${mantissa} \\times 10^{{{int(power)}}}$" if exponent else f"${plain}$"


def tables(summaries: Sequence[Summary], rows: Sequence[VarBenchRow]) -> str:
    """Return all tables: energies of molecules, energies of lattices, V-scores.

    Args:
        summaries: Runs; those without an energy are left out.
        rows: Those of VarBench.
    """
    parts = [_PREAMBLE]
    for unit in dict.fromkeys(summary.unit for summary in summaries):
        chosen = [s for s in summaries if s.unit == unit and s.energy is not None and s.run.finished]
        if chosen:
            parts.append(_energies(unit, chosen))
    if rows:
        parts.append(_v_scores(rows))
    return "\n".join(parts)


def _energies(unit: str, summaries: Sequence[Summary]) -> str:
    symbol = r"$E_\mathrm{h}$" if unit == "Hartree" else f"${escape(unit)}$"
    milli = r"m$E_\mathrm{h}$" if unit == "Hartree" else f"$10^{{-3}}\\,{escape(unit)}$"
    heads = [
        "System",
        "Kind",
        f"Energy ({symbol})",
        "Reference",
        f"Energy ({symbol})",
        f"Difference ({milli})",
    ]
    lines = [
        [
            escape(s.system),
            escape(KINDS.get(s.kind, (s.kind, ""))[0]),
            number(numbers.bracketed(s.energy, s.error)),
            escape(s.yardstick.label) if s.yardstick else "",
            number(numbers.bracketed(s.yardstick.energy, None)) if s.yardstick else "",
            number(differing(s)),
        ]
        for s in summaries
    ]
    what = "molecules" if unit == "Hartree" else "lattice models"
    return _table(f"Energies of {what}.", f"tab:nnbf-{what.split()[0]}", "llrlrr", heads, lines)


def _v_scores(rows: Sequence[VarBenchRow]) -> str:
    heads = ["System", "Energy", "Variance", "DOF", r"$E_\infty$", "V-score"]
    lines = [
        [
            escape(row.system),
            number(numbers.bracketed(row.energy, row.sigma)),
            number(numbers.small(row.variance)),
            number(numbers.count(row.dof)),
            number("" if row.einf is None else f"{row.einf:.6f}"),
            number(numbers.small(row.v_score)),
        ]
        for row in rows
    ]
    return _table("Variances and V-scores.", "tab:nnbf-vscores", "lrrrrr", heads, lines)


def _table(
    caption: str, label: str, columns: str, heads: Sequence[str], lines: Iterable[Sequence[str]]
) -> str:
    head = " & ".join(heads) + r" \\"
    return "\n".join(
        [
            f"\\begin{{longtable}}{{{columns}}}",
            f"\\caption{{{caption}}}\\label{{{label}}}\\\\",
            r"\toprule",
            head,
            r"\midrule",
            r"\endfirsthead",
            r"\toprule",
            head,
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *(" & ".join(line) + r" \\" for line in lines),
            r"\end{longtable}",
            "",
        ]
    )
