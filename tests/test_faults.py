"""Damaged and hostile files of public reports: one clear line and exit code 2 each, and no code that runs.

Small ones lie in `data/faults` as they came; others are a run of `fixtures/folders` with the same damage.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nnbf.cli import main
from nnbf.runs.checkpoint import write_archive

HERE = Path(__file__).parent
FAULTS, FOLDERS = HERE / "data" / "faults", HERE / "fixtures" / "folders"


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run the program in a copy of a folder; require one line, exit code 2, and that nothing planted runs."""

    def run(name, *words):
        here = tmp_path / name
        shutil.copytree(FAULTS / name, here)
        monkeypatch.chdir(here)
        return _line(main([*words, *(["--out", "out"] if words[0] != "evaluate" else [])]), capsys, here)

    return run


def _line(code, capsys, here):
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert len(said) < 300
    assert not [*here.rglob("MARKER"), *here.rglob("out")]
    return said


FILES = {
    "fcidump_0199": (["fcidump", "f.FCIDUMP", "--dry-run"], "f.FCIDUMP"),
    "manifest_0017": (["sweep", "m.toml", "--dry-run"], "count"),
    "manifest_0018": (["sweep", "m.toml", "--dry-run"], "template"),
    "npz_0015": (["fcidump", "s.npz", "--quiet"], "s.npz"),
    "toml_0031": (["molecule", "H2", "--config", "c.toml", "--dry-run"], "c.toml"),
    "words_0007": (["molecule", "H2", "--basis", "6-31g@x@y", "--dry-run"], "6-31g@x@y"),
    "xyz_0017": (["molecule", "m.xyz", "--dry-run"], "m.xyz"),
}


@pytest.mark.parametrize(("name", "words", "named"), [(n, *v) for n, v in FILES.items()], ids=FILES)
def test_files(refused, name, words, named):
    assert named in refused(name, *words)


@pytest.mark.parametrize("depth", [3000, 300_000])
def test_toml_0018(tmp_path, monkeypatch, capsys, depth):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text("a = " + "[" * depth)
    assert "c.toml" in _line(main(["molecule", "H2", "--config", "c.toml", "--dry-run"]), capsys, tmp_path)


@pytest.mark.parametrize(
    "words", [["--ecp", "evilecp"], ["--config", "evil.toml"]], ids=lambda words: words[0]
)
def test_basis_file(refused, words):
    """A potential that exists as a file is a name like any other, and unknown."""
    assert "evilecp" in refused("basis_file", "molecule", "H2", "--dry-run", *words)


def test_basis_file_under_the_name_of_a_basis(tmp_path, monkeypatch, capsys):
    """STO-3G is PySCF's, whatever lies in the current folder; asked for as a file, it is text and refused."""
    here = shutil.copytree(FAULTS / "basis_file", tmp_path / "here")
    monkeypatch.chdir(here)
    assert main(["molecule", "H2", "--dry-run", "--basis", "sto-3g"]) == 0
    assert "hf: -1.0661" in capsys.readouterr().out
    for name in ("sto-3g", "evilecp"):
        code = main(["molecule", "H2", "--dry-run", "--basis-file", name])
        assert f"{name}, line " in _line(code, capsys, here)


@pytest.mark.slow
def test_hidden_symmetry(tmp_path, capsys):
    """The sector of the reference determinant lies 1.03 Hartree above the ground state, -5.21827778."""
    words = ["--quiet", "--full-sum-limit", "0", "--no-references", "--out", str(tmp_path / "out")]
    code = main(["fcidump", str(FAULTS / "hidden_symmetry" / "hidden.FCIDUMP"), *words])
    energy = json.loads((tmp_path / "out" / "result.json").read_text())["energy"]
    assert code == 0
    assert energy == pytest.approx(-5.21827778, abs=1e-4) or "lower" in capsys.readouterr().err


def test_diis_crash(tmp_path):
    """CCSD's matrix is singular: its reference alone is lost."""
    from hamiltonians import read_fcidump

    references = read_fcidump(FAULTS / "diis_crash" / "tiny.FCIDUMP").references
    assert references["fci"] is not None


# ---- folders of runs -----------------------------------------------------------------------------------


def changed(name, **values):
    """Return what changes entries of a JSON file, or removes them (None)."""

    def damage(run):
        content = json.loads((run / name).read_text()) | values
        (run / name).write_text(json.dumps({key: v for key, v in content.items() if v is not None}))

    return damage


def changed_tree(change):
    """Return what changes the tree of a checkpoint, which gets its right digest again."""

    def damage(run):
        path = run / "checkpoint" / "state-000001.npz"
        with np.load(path) as found:
            arrays = dict(found)
        tree = json.loads(arrays["tree"].tobytes())
        change(tree)
        write_archive(path, arrays | {"tree": np.frombuffer(json.dumps(tree).encode(), np.uint8)})
        (run / "checkpoint" / "final.npz").unlink()

    return damage


def no_array(tree):
    tree["snapshot"]["driver"]["variables"][0]["#array"] = {"": None}


def endless_member(run):
    """Claim a size of 2^64 - 1 for the first array, and lose the end."""
    path = run / "checkpoint" / "final.npz"
    content = bytearray(path.read_bytes()[:514])
    content[18:26] = b"\xff" * 8
    path.write_bytes(content)


def noise(run):
    path = run / "history.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:69] + b"\x80\x00\x80" + content[72:])


RESUME, EVALUATE = ("resume", "--time-limit", "2", "--max-steps", "5"), ("evaluate", "--precision", "1e-2")
RUNS = {
    "checkpoint_0010": ("lih_stopped", changed_tree(no_array), RESUME),
    "checkpoint_0041": ("lih_stopped", changed_tree(lambda tree: tree.update(snapshot=1)), EVALUATE),
    "config_0003": ("lih_stopped", changed("config.json", versions="9" * 5000), RESUME),
    "final_0001": ("lih_selected", endless_member, EVALUATE),
    "history_0004": ("lih_selected", noise, EVALUATE),
    "result_0043": ("lih_selected", changed("result.json", estimates=None, variance=""), EVALUATE),
    "result_0100": ("tv_spectrum", changed("result.json", n_levels_wanted=None), EVALUATE),
}


@pytest.mark.parametrize(("folder", "damage", "words"), RUNS.values(), ids=RUNS.keys())
def test_runs(tmp_path, capsys, folder, damage, words):
    run = shutil.copytree(FOLDERS / folder, tmp_path / "run")
    damage(run)
    before = sorted(tmp_path.rglob("*"))
    command, *options = words
    line = _line(main([command, str(run), "--quiet", *options]), capsys, tmp_path)
    assert str(run) in line
    assert sorted(tmp_path.rglob("*")) == before
