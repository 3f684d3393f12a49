"""Findings of a sweep as tables: made of real limits, curves and fits, also after a trip through JSON."""

import json

import numpy as np
import pytest

from nnbf.analysis import (
    basis_limit,
    diatomic_constants,
    findings_markdown,
    findings_sections,
    non_parallelity,
    scaling_table,
)

HELIUM = {2: (-2.855160, -2.887595), 3: (-2.861153, -2.900232), 4: (-2.861514, -2.902411)}


def limit(name="", cardinals=(2, 3, 4), **more):
    found = basis_limit([(x, *HELIUM[x]) for x in cardinals], family="cc-pVXZ").record()
    return {"name": name, "exact": None, "references": {}, "picture": f"limit_{name}.png", **found, **more}


def curve():
    r = np.linspace(0.9, 1.5, 9)
    exact = -109.0 + 0.36 * (1 - np.exp(-2.7 * (r - 1.1))) ** 2
    ours = exact + np.linspace(0, 1e-4, 9)
    constants = {
        method: diatomic_constants(r, energies, masses=(14.0, 14.0)).record()
        for method, energies in (("energy", ours), ("fci", exact))
    }
    points = [{"x": x, "energy": e, "s_squared": 0.01 * k} for k, (x, e) in enumerate(zip(r, ours))]
    return {
        "name": "N2", "points": points, "constants": constants,
        "to_fci": non_parallelity(ours, exact).record(), "notes": ["made without r0.8"],
        "picture": "curve_N2.png",
    }  # fmt: skip


def growth():
    rows = [
        {"directory": f"{kind}{n}", "series": kind, "n_orbitals": n, "time_per_step_s": 1e-3 * n**2}
        for kind, sizes in (("ring", (4, 6)), ("chain", (8, 4, 6)))
        for n in sizes
    ]
    series = {
        kind: scaling_table(
            [row for row in rows if row["series"] == kind], ["time_per_step_s"], against="n_orbitals"
        ).record()
        for kind in ("ring", "chain")
    }
    return {
        "against": "n_orbitals", "quantities": ["time_per_step_s"], "series": series, "points": rows,
        "picture": "scaling_n_orbitals.png",
    }  # fmt: skip


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_nothing_found_is_nothing_shown():
    assert findings_sections({"basis_limits": [], "curves": [], "scaling": [], "notes": []}) == []
    assert findings_markdown({}) == []


def test_limits_share_a_table():
    small = limit("He", (2, 3), exact=-2.903724, references={"fci": {"energy": -2.9, "error": 0.01}})
    (section,) = findings_sections({"basis_limits": [small, limit("again")]})
    (block,) = section.blocks
    heads = [column.title for column in block.table.columns]
    assert heads == ["of", "sets", "limit (Ha)", "HF", "correlation", "less exact (mHa)", "FCI limit"]
    first, second = texts(block.table)
    assert first[:2] == ["He", "cc-pV{DT}Z"]
    assert second[:2] == ["again", "cc-pV{DTQ}Z"]
    assert first[-1] == "-2.900(10)"
    assert second[-2:] == ["", ""]
    # Programs get the numbers in full.
    assert block.table.rows[0][2].value == small["energy"]
    assert block.table.rows[0][5].value == pytest.approx(1e3 * (small["energy"] + 2.903724))
    assert any(note.startswith("He: one of the two sets is double zeta") for note in block.notes)
    assert small["formula"] in block.notes
    assert block.pictures == ("limit_He.png", "limit_again.png")


def test_one_limit_needs_no_name():
    (section,) = findings_sections({"basis_limits": [limit()]})
    assert section.blocks[0].table.columns[0].title == "sets"


def test_a_curve_has_constants_and_remarks():
    (section,) = findings_sections({"curves": [curve()]})
    (block,) = section.blocks
    assert block.heading == "N2"
    ours, exact = texts(block.table)
    assert (ours[0], exact[0]) == ("this work", "FCI")
    assert [column.title for column in block.table.columns][1] == "r_e (Å)"
    assert float(exact[1].partition("(")[0]) == pytest.approx(1.1, abs=1e-3)
    assert "non-parallelity 0.1000 mHa" in block.notes[0]
    assert block.notes[1:] == ("<S²> from 0.0000 to 0.0800", "made without r0.8")
    bare = {
        **curve(),
        "constants": {},
        "to_fci": None,
        "points": [{"x": 1.0, "s_squared": None}],
        "notes": [],
    }
    (section,) = findings_sections({"curves": [bare]})
    assert section.blocks[0].table is None
    assert section.blocks[0].notes == ()


def test_growth_lists_points_and_exponents():
    (section,) = findings_sections({"scaling": [growth()]})
    sizes, laws = section.blocks
    assert texts(sizes.table)[0] == ["chain4", "chain", "4", "0.016"]
    assert [row[0] for row in texts(sizes.table)] == ["chain4", "chain6", "chain8", "ring4", "ring6"]
    assert texts(laws.table) == [["time per step (s)", "chain", "2.000(1)", "2.00 ... 2.00", "3"]]
    (note,) = laws.notes
    assert note.startswith("no power law of time per step (s), ring: 2 different sizes")
    assert (sizes.pictures, laws.pictures) == ((), ("scaling_n_orbitals.png",))


def test_markdown_is_the_same_from_a_file():
    analysis = {"basis_limits": [limit("a|b")], "curves": [curve()], "scaling": [growth()], "notes": ["so"]}
    lines = findings_markdown(analysis)
    assert findings_markdown(json.loads(json.dumps(analysis))) == lines
    heads = ["## Basis-set limits", "## Curves", "### N2", "## Growth with size", "## Notes"]
    assert [line for line in lines if line.startswith("#")] == heads
    assert "![curve_N2.png](curve_N2.png)" in lines
    assert any(line.startswith("| a\\|b | cc-pV{DTQ}Z |") for line in lines)
    assert lines[-1] == "* so"
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize("kind", ["basis_limits", "curves", "scaling", "notes"])
@pytest.mark.parametrize("found", [[{"energy": 1.0}], [{}], [3], {"a": 1}, 7])
def test_records_of_another_version_are_a_note(kind, found):
    (section,) = findings_sections({kind: found, "basis": 3})
    (block,) = section.blocks
    assert block.table is None
    assert kind == "notes" or "cannot be shown" in block.notes[0]
