"""Folders of format 1, made by commit dcaf556, as every reader sees them."""

import json
import shutil
from pathlib import Path

import pytest

from hamiltonians import InputError, Lattice, space_group
from nnbf.cli import main
from nnbf.runs.schema import FORMAT, load_config, load_result, sector_label

FOLDERS = Path(__file__).resolve().parents[1] / "fixtures" / "folders"
COMMANDS = {
    "h4_fcidump": "fcidump",
    "hubbard_vmc": "lattice",
    "lih_selected": "molecule",
    "lih_stopped": "molecule",
    "lih_vmc": "molecule",
    "tv_charge": "charge",
    "tv_spectrum": "spectrum",
    "tv_stopped": "spectrum",
}
CONFIG = {
    "format",
    "command",
    "run",
    "created",
    "command_line",
    "method",
    "problem",
    "options",
    "sectors",
    "limits",
    "checkpoint_interval",
    "seed",
    "versions",
    "git",
    "hardware",
    "start",
    "resumed",
    "system",
    "energy_unit",
}
RESULT = {
    "format",
    "command",
    "energy",
    "energy_kind",
    "energy_error",
    "energy_unit",
    "estimates",
    "references",
    "variance",
    "status",
    "versions",
    "system",
    "warnings",
    "levels",
}
LEVEL = {
    "sector", "level", "energy", "error", "kind", "upper_bound", "reference", "variance", "v_score",
    "s_squared", "status", "n_steps", "n_parameters", "wall_time_s", "warnings",
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_configurations_of_format_1_have_the_keys_of_format_2(name):
    config = load_config(FOLDERS / name)
    assert config.keys() >= CONFIG
    assert config["format"] == FORMAT
    assert config["command"] == COMMANDS[name]
    assert config["options"]
    assert config["system"]
    assert not config.keys() & {"solver", "started", "choice"}


@pytest.mark.parametrize("name", COMMANDS)
def test_results_of_format_1_have_levels(name):
    result = load_result(FOLDERS / name)
    assert result.keys() >= RESULT
    assert "sectors" not in result
    assert all(level.keys() >= LEVEL for level in result["levels"])
    lowest = min(result["levels"], key=lambda level: level["energy"])
    assert (lowest["energy"], lowest["kind"]) == (result["energy"], result["energy_kind"])
    assert lowest["upper_bound"] is True


def test_a_molecule_has_one_level():
    result = load_result(FOLDERS / "lih_selected")
    (level,) = result["levels"]
    assert level["sector"] == {"momentum": None, "irrep": None, "spin_flip": None, "label": ""}
    assert level["reference"] == result["references"]["fci"]


def test_levels_of_a_lattice_keep_what_format_1_said_of_them():
    old = json.loads((FOLDERS / "tv_spectrum" / "result.json").read_text())
    levels = load_result(FOLDERS / "tv_spectrum")["levels"]
    assert len(levels) == len(old["sectors"]) == old["n_levels_wanted"]
    for level, before in zip(levels, old["sectors"]):
        assert {key: level[key] for key in before} == before


def test_labels_are_those_of_sectors():
    group = space_group(Lattice("hubbard", (2, 2), (2, 2), U=4.0))
    for irrep, flip in ((None, None), ("A1", 1), ("B2", -1)):
        sector = group.sector((0, 0), irrep, spin_flip=flip)
        assert sector_label(sector.momentum, irrep, flip) == sector.label


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 3}')
    with pytest.raises(InputError, match="format 3"):
        load_config(tmp_path)
    with pytest.raises(InputError, match="has not finished"):
        load_result(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"format": 2},
        {"format": 2, "command": "dance", "options": {}, "limits": {}, "method": None},
        {"format": 2, "command": "molecule", "options": [], "limits": {}, "method": "selected"},
        {"format": 2, "command": "molecule", "options": {}, "limits": {}, "method": 3},
        {"options": 7, "method": "selected"},
        {"command": ["lattice"], "solver": {}},
    ],
)
def test_a_configuration_that_makes_no_sense_is_one_line(config, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(config))
    for command in ("resume", "evaluate"):
        assert main([command, str(tmp_path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(tmp_path) in line


@pytest.mark.parametrize(
    "levels", ["x", [3], [{}], [{"sector": None, "level": 0, "energy": 1, "status": ""}], None]
)
def test_levels_that_make_no_sense_are_one_line(levels, tmp_path):
    folder = shutil.copytree(FOLDERS / "lih_selected", tmp_path / "run")
    result = load_result(folder) | {"levels": levels}
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match="damaged"):
        load_result(folder)
