"""Curves of states: a row for each level of each point."""

from nnbf.sweep.point_records import PointRecord, state_rows
from nnbf.sweep.points import Point


def level(number, name, energy, term, strength=None):
    return {
        "level": number, "sector": {"label": name}, "energy": energy, "term": term, "kind": "full_sum",
        "excitation_ev": 27.2 * (energy + 1.0), "oscillator_strength": strength,
    }  # fmt: skip


def test_levels_of_a_point(tmp_path):
    """Degenerate states are one row; levels of one name are numbered by energy, whatever crosses them."""
    levels = [
        level(0, "1Sig+", -1.0, 0), level(1, "1Sig+", -0.5, 1, 0.1), level(2, "1Pi", -0.6, 2, 0.2),
        level(3, "1Pi", -0.6 + 1e-9, 2, 0.3), level(4, "3Pi", -0.9, 3),
    ]  # fmt: skip
    point = Point("point", {"distance": 1.2}, {}, (), "")
    rows = state_rows(PointRecord(point, {}, {}, {"levels": levels}))
    assert [row["state"] for row in rows] == ["1 1Sig+", "1 3Pi", "1 1Pi", "2 1Sig+"]
    assert [row["degeneracy"] for row in rows] == [1, 1, 2, 1]
    assert rows[2]["oscillator_strength"] == 0.5
    assert rows[0]["distance"] == 1.2
    assert state_rows(PointRecord(point, {}, {}, {"levels": [{"level": 0, "energy": -1.0}]})) == []
    assert state_rows(PointRecord(point, {}, {}, None)) == []
