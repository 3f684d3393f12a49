"""Pictures of sweeps from plain records."""

import re

import numpy as np
import pytest

from hamiltonians import InputError
from nnbf._text import value_with_error
from nnbf.analysis import basis_limit, diatomic_constants
from nnbf.report.style import png, svg
from nnbf.report.sweep_figures import draw_basis_limit, draw_curve, draw_scaling

PNG = b"\x89PNG\r\n\x1a\n"
HELIUM = [(2, -2.855160, -2.887595), (3, -2.861153, -2.900232), (4, -2.861514, -2.902411, 1e-5)]


def texts(axes):
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("points", [HELIUM, HELIUM[1:]], ids=["three", "two"])
def test_basis_limit(points):
    limit = basis_limit(points, family="cc-pVXZ")
    figure = draw_basis_limit(limit.record(), exact=-2.903724, title="He")
    total, distance, formulas = figure.axes
    assert f"limit {value_with_error(limit.energy, limit.error)} Ha (no bound)" in texts(total)
    assert "cc-pVXZ" in distance.get_xlabel()
    labels = [tick.get_text() for tick in formulas.get_yticklabels()]
    known = [v for v in (*limit.hf.values, *limit.correlation.values) if v.energy is not None]
    assert len(labels) == len(known) + 2
    # The curve of the recommended formulas goes through the two largest sets.
    x, y = total.lines[0].get_data()
    assert np.interp(4.0, x, y) == pytest.approx(1e3 * (points[-1][2] - limit.energy), rel=1e-3)
    assert png(figure).startswith(PNG)


def scan(**without):
    rows = []
    for r in np.arange(0.9, 2.0, 0.1):
        fci = -109.0 + 0.36 * (1 - np.exp(-2.7 * (r - 1.1))) ** 2
        row = {"r": r, "energy": fci + 2e-5, "energy_error": 1e-6, "s_squared": 1e-4}
        row["references"] = {"hf": fci + 0.1 * r, "ccsd_t": fci + 1e-3 * (1.5 - r), "fci": fci}
        rows.append({key: value for key, value in row.items() if key not in without})
    return rows


def test_curve():
    rows = scan()
    constants = diatomic_constants(
        [row["r"] for row in rows], [row["energy"] for row in rows], masses=(14.0, 14.0)
    )
    figure = draw_curve(rows[::-1], constants=constants.record(), title="N2")
    energies, errors, spin = figure.axes
    assert set(texts(energies)) == {"HF", "CCSD(T)", "FCI", "this work"}
    assert "FCI" in errors.get_ylabel()
    assert np.allclose(errors.lines[0].get_ydata(), 0.02)
    assert spin.get_ylim()[1] - spin.get_ylim()[0] >= 0.1
    assert png(figure).startswith(PNG)


def test_curve_of_what_there_is():
    rows = scan(references=None, s_squared=None)
    (axes,) = draw_curve(rows).axes
    assert texts(axes) == ["this work"]
    rows[0]["energy"] = None  # a point that failed
    rows[3]["references"] = {"ccsd_t": -108.9}  # and one that is better known than the others
    assert len(draw_curve(rows).axes) == 1
    with pytest.raises(InputError, match="nothing to draw"):
        draw_curve([{"r": 1.0, "energy": None}])


def test_scaling():
    rows = [
        {"n_spin_orbitals": 2 * n, "shape": shape, "time_per_step_s": 1e-4 * n**3, "n_determinants": None}
        for n in (4, 6, 8, 10)
        for shape in ("chain", "ring")
    ]
    rows[-1]["n_determinants"] = 12
    figure = draw_scaling(rows, ("time_per_step_s", "n_determinants"), group="shape")
    time, space = figure.axes
    assert texts(time) == ["chain: $x^{3.0000(10)}$", "ring: $x^{3.0000(10)}$"]
    assert texts(space) == ["ring"]
    assert time.get_xscale() == space.get_xscale() == time.get_yscale() == "log"
    assert space.get_ylabel() == "determinants |V|"
    assert png(figure).startswith(PNG)
    with pytest.raises(InputError, match="no run has"):
        draw_scaling(rows, ("memory_mb",))


def test_svg_follows_the_page_and_shares_no_ids():
    figures = [svg(draw_curve(scan(), title="a <b>"), "curves of <N2>", f"f{k}") for k in range(2)]
    for text in figures:
        assert text.startswith('<svg class="plot"')
        assert "curves of &lt;N2&gt;" in text
        assert "a &lt;b&gt;" in text
        assert "var(--s0)" in text
        assert "var(--ink)" in text
        assert "#ffffff" not in text
        assert "http" not in text
        assert "<metadata" not in text
    ids = [re.findall(r' id="([^"]+)"', text) for text in figures]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])
    for text, own in zip(figures, ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text)) <= set(own)
