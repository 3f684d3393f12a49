"""Numbers and tables as people read them."""

import csv
import re

import pytest

from nnbf import _text
from nnbf._text import Cell, Column, Table

HOSTILE = r"50% of {A_1} & \b #$^~<|>"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-107.65284, 3.1e-4, "-107.65284(31)"),
        (-107.65284, 4.1e-4, "-107.6528(4)"),
        (-107.65284, 1.4e-4, "-107.65284(14)"),
        (0.5, 0.0999, "0.50(10)"),
        (2.41, 0.11, "2.41(11)"),
        (12.3, 4.0, "12(4)"),
        (1.5, 1e-12, "1.50000000"),
        (1.5, 0.0, "1.50000000"),
        (1.5, None, "1.50000000"),
        (1.5, float("nan"), "1.50000000"),
        (None, 1.0, ""),
    ],
)
def test_errors_in_brackets(value, error, text):
    assert _text.value_with_error(value, error) == text


def test_numbers():
    assert _text.difference(1.23456) == "+1.235"
    assert _text.difference(-2e-5) == "-2e-05"
    assert _text.difference(1e-12) == "0"
    assert _text.difference(None) == ""
    assert _text.difference(0.0312, 0.041) == "+0.03(4)"
    assert _text.duration(59.96) == "60.0 s"
    assert _text.duration(250) == "4 min 10 s"
    assert _text.duration(7500) == "2 h 05 min"
    assert _text.setting([64, 32]) == "64, 32"
    assert _text.setting({"a": [[1, 2], [3]], "b": True}) == "a: (1, 2), (3), b: yes"
    assert _text.setting(None) == "–"
    assert _text.count(12345) == "12\u202f345"


@pytest.fixture
def table():
    made = Table(["who", Column("E (10⁻³ t)", "right"), "empty"], caption="All of it")
    made.add(Cell(HOSTILE, link="#a"), Cell("-1.2e-06", -1.2e-6), None, main=True)
    made.add("plain", Cell("-10.24062(4)", -10.240621183799906), None)
    return made.without_empty_columns()


def test_every_format_quotes(table):
    assert r"\<|" not in table.markdown()
    assert r"**50% of {A_1} & \b #$^~&lt;\|>**" in table.markdown()
    assert "&lt;|&gt;" in table.html()
    assert 'data-value="-1.2e-06">−1.2e−06<' in table.html()
    text = table.latex("tab:x")
    assert r"50\% of \{A\_1\} \& \textbackslash{}b \#\$\textasciicircum{}\textasciitilde{}" in text
    assert r"$-1.2 \times 10^{-6}$" in text
    assert r"$-10.24062(4)$" in text
    bare = re.sub(r"\\[\\{}&%#$]", "", text)
    assert bare.count("{") == bare.count("}")
    assert all(len(re.findall(r"(?<!\\)&", line)) == 1 for line in text.splitlines() if "&" in line)


def test_numbers_of_csv_come_back_bit_by_bit(table):
    _, first, second = csv.reader(table.csv().splitlines())
    assert first == [HOSTILE, "-1.2e-06"]
    assert float(second[1]) == -10.240621183799906


def test_latex_of_other_letters():
    assert _text.latex("one\ntwo\t[x] ü 漢") == "one two {[}x{]} ü ?"


def test_rows_have_as_many_cells_as_columns(table):
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table.add("alone")
