"""What a run leaves behind: whole files, numbers that come back bit by bit, no clobbering."""

import json
import math
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from hamiltonians import InputError, MoleculeSpec, SystemInfo
from nnbf._io import json_line, write_atomically, write_json
from nnbf.runs import (
    RunDirectory,
    RunError,
    default_folder,
    load_checkpoint,
    require_free,
    run_molecule,
    run_system,
    save_checkpoint,
)
from nnbf.runs.job import folder_words

RESULT_KEYS = {
    "energy", "energy_kind", "energy_error", "estimates", "references", "variance", "v_score", "s_squared",
    "n_determinants", "n_parameters", "status", "wall_time_s", "seed", "versions", "system", "warnings",
    "n_steps", "reference_notes",
}  # fmt: skip
SYSTEM_KEYS = {"formula", "basis", "n_orbitals", "n_electrons", "charge", "two_S"}


def test_result_and_config_hold_what_others_read(system, solver, tmp_path):
    run = run_system(system, out=tmp_path / "run", command_line="nnbf molecule H2")
    assert set(run.result) >= RESULT_KEYS
    assert set(run.result["system"]) >= SYSTEM_KEYS
    assert set(run.result["references"]) == {"hf", "mp2", "ccsd", "ccsd_t", "fci"}
    assert run.result["references"]["mp2"] is None
    assert run.result["estimates"]["projected"]["energy"] < run.result["energy"]
    config = run.directory.read_config()
    assert config["command_line"] == "nnbf molecule H2"
    assert config["options"]["optimizer"] == "auto"
    assert config["seed"] == 0
    assert {"nnbf", "python", "jax", "jaxlib", "netket", "numpy", "pyscf"} <= set(config["versions"])
    assert config["system"]["fci_dimension"] == 4
    assert config["hardware"]["cores"] >= 1


def test_a_run_folder_can_be_opened_again(system, solver, tmp_path):
    run = run_system(system, out=tmp_path / "run")
    opened = RunDirectory.open(tmp_path / "run")
    assert [row["energy"] for row in opened.read_history()] == [-1.05, -1.09, -1.1011]
    assert opened.read_result() == run.result == json.loads(opened.result_file.read_text())
    assert np.array_equal(opened.read_system().integrals.two_body, system.integrals.two_body)
    checkpoint = opened.read_checkpoint()
    assert np.array_equal(checkpoint.determinants, run.lowest.determinants)
    assert checkpoint.determinants.dtype == np.uint64


def test_run_molecule_records_the_problem(built, solver, tmp_path):
    run = run_molecule(MoleculeSpec("H2", frozen_core=True), out=tmp_path / "run")
    assert run.directory.read_config()["problem"]["frozen_core"] is True


def test_observers_see_every_step(system, solver, tmp_path):
    seen, started = [], []
    run_system(system, out=tmp_path / "run", on_row=seen.append, on_start=started.append)
    assert [row["step"] for row in seen] == [0, 1, 2]
    assert started[0].path == tmp_path / "run"


def test_failure_keeps_config_system_and_history(system, solver, tmp_path):
    def fail():
        raise FloatingPointError("not finite")

    solver.during = fail
    with pytest.raises(RunError, match="not finite") as caught:
        run_system(system, out=tmp_path / "run")
    directory = caught.value.directory
    assert directory.read_result()["status"] == "failed"
    assert set(directory.read_result()) >= RESULT_KEYS
    assert len(directory.read_history()) == 2
    assert directory.system_file.is_file()


def test_an_empty_folder_is_fine_and_stays(system, solver, tmp_path):
    def refuse():
        raise InputError("no")

    folder = tmp_path / "run"
    folder.mkdir()
    solver.before = refuse
    with pytest.raises(InputError, match="no"):
        run_system(system, out=folder)
    assert list(folder.iterdir()) == []
    solver.before = None
    run_system(system, out=folder)
    with pytest.raises(InputError, match="holds another run"):
        run_system(system, out=folder)


def test_default_folder_names_and_never_clobbers(tmp_path):
    now = datetime(2026, 1, 2, 3, 4, 5)
    info = SystemInfo(name="N2", basis="6-31g**")
    first = default_folder(folder_words(info), tmp_path, now)
    assert first.name == "N2_6-31gss_20260102-030405"
    first.mkdir()
    assert default_folder(folder_words(info), tmp_path, now).name == first.name + "-2"
    assert default_folder(folder_words(SystemInfo(name="../a b")), tmp_path, now).parent == tmp_path
    assert default_folder(folder_words(SystemInfo()), tmp_path, now).name == "run_20260102-030405"


def test_default_folder_is_under_the_current_one():
    assert default_folder(folder_words(SystemInfo(name="N2"))).parent == Path("runs")


def test_require_free(tmp_path):
    assert require_free(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(InputError, match="other files"):
        require_free(tmp_path)


def test_opening_what_is_no_run(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        RunDirectory.open(tmp_path)


def test_a_write_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"energy": 1.0})

    def broken(stream):
        stream.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, broken)
    assert json.loads(path.read_text()) == {"energy": 1.0}
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_floats_come_back_bit_by_bit():
    values = [0.1 + 0.2, math.pi, -1.1011503302326187, 5e-324, 1e308, np.float64(1) / 3]
    row = json.loads(json_line({"values": values, "array": np.array(values), "scalar": np.float32(0.1)}))
    assert row["values"] == row["array"] == [float(value) for value in values]
    assert np.float32(row["scalar"]) == np.float32(0.1)


def test_what_json_does_not_know():
    line = json_line({"nan": math.nan, "inf": np.inf, "n": np.int64(3), "flag": np.bool_(True), "t": (1, 2)})
    assert json.loads(line) == {"nan": None, "inf": None, "n": 3, "flag": True, "t": [1, 2]}
    with pytest.raises(TypeError, match="object"):
        json_line({"thing": object()})


def test_history_grows_line_by_line_and_survives_a_cut(tmp_path):
    directory = RunDirectory.create(tmp_path / "run")
    with directory.history() as history:
        history.append({"step": 0})
        assert directory.read_history() == [{"step": 0}]
        history.append({"step": 1})
        assert history.count == 2
        assert history.last == {"step": 1}
    with directory.history_file.open("a") as stream:
        stream.write('{"step": 2, "ener')
    assert directory.read_history() == [{"step": 0}, {"step": 1}]


def test_checkpoint_needs_numpy_alone(tmp_path):
    path = tmp_path / "final.npz"
    tree = {"a": {"kernel": np.ones((2, 3), np.float32)}, "b": [np.arange(2), (np.eye(2),)], "c": 1.5}
    save_checkpoint(path, tree, np.array([[3]], dtype=np.uint64))
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays.files) == {
            "determinants", "parameters/a/kernel", "parameters/b/[0]", "parameters/b/[1]/[0]", "parameters/c",
        }  # fmt: skip
    loaded = load_checkpoint(path)
    assert loaded.parameters["a"]["kernel"].dtype == np.float32
    assert np.array_equal(loaded.parameters["b"][1][0], np.eye(2))
    assert loaded.parameters["c"] == 1.5
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(path)
    with pytest.raises(InputError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "absent.npz")


def test_checkpoint_refuses_what_is_no_array(tmp_path):
    with pytest.raises(TypeError, match="give arrays"):
        save_checkpoint(tmp_path / "final.npz", {"a": object()}, np.zeros((1, 2), np.uint64))
    assert list(tmp_path.iterdir()) == []
