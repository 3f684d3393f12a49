"""Damaged and hostile files for every reader: the short version of benchmarks/fuzz.py."""

import sys
from pathlib import Path

import pytest


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    if not sys.platform.startswith("linux"):
        pytest.skip("limits of memory are those of Linux")
    import fuzz

    with fuzz.limited_memory():
        found = [*fuzz.outcomes(140, 0, tmp_path)]
    assert [one for one in found if one.is_fault] == []
    assert {one.verdict for one in found} == {"read", "refused"}
    assert len({one.target for one in found}) >= 10
