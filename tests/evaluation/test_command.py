"""`nnbf evaluate` on the folder of a tiny run."""

import json
import shutil

import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.cli import main
from nnbf.runs.directory import RunDirectory
from nnbf.runs.trained import load_trained


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A run on LiH, whose V is a part of the sector."""
    folder = tmp_path_factory.mktemp("runs") / "lih"
    words = [
        "molecule",
        "LiH",
        "--hidden",
        "12",
        "--max-space",
        "30",
        "--tail-steps",
        "0",
        "--no-references",
        "--quiet",
    ]
    assert main([*words, "--max-steps", "30", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def run(solved, tmp_path):
    return shutil.copytree(solved, tmp_path / "run")


def content(path):
    return json.loads(path.read_text())


def test_estimates_are_added(run, capsys):
    before = content(run / "result.json")
    # As a larger run would have left them.
    rows = [
        {"step": k, "energy": -7.7, "grown_from": {"n_space": n, "energy": e, "variance": v, "pt2": p}}
        for k, (n, e, v, p) in enumerate([(16, -7.74, 0.09, -0.03), (20, -7.77, 0.03, -0.01)])
    ]
    (run / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["evaluate", str(run), "--large", "6", "--precision", "1e-5", "--seed", "3"]) == 0
    after, record = content(run / "result.json"), content(run / "evaluation.json")
    vmc, full_sum = after["estimates"]["vmc"], after["estimates"]["full_sum"]
    assert vmc["error"] <= 1e-5
    assert abs(vmc["energy"] - full_sum["energy"]) < 4 * vmc["error"]
    assert abs(vmc["variance"] - full_sum["variance"]) < 4 * vmc["variance_error"]
    assert {"v_score", "n_samples", "n_unique", "outside", "r_hat", "tau", "acceptance"} <= set(vmc)
    assert vmc["seed"] == 3
    assert record["rounds"][-1]["energy"] == vmc["energy"]
    # The headline and all other estimates stay.
    for key in ("energy", "energy_kind", "variance", "status"):
        assert after[key] == before[key]
    assert before["estimates"].items() <= after["estimates"].items()
    extrapolated = after["estimates"]["extrapolated"]
    assert extrapolated["method"] == "pt2"
    assert extrapolated["n_points"] == 3
    assert extrapolated["upper_bound"] is False
    assert (run / "report" / "extrapolation.png").stat().st_size > 10_000
    assert "<h2>Extrapolation</h2>" in (run / "report" / "index.html").read_text()
    shown = capsys.readouterr().out
    assert "VMC" in shown
    assert "determinants summed exactly" in shown


def test_a_run_cut_off_just_behind_a_growth_is_sampled_as_it_was_reported(tmp_path):
    """Its last checkpoint has another state, to go on from: larger, and worse at first."""
    folder = tmp_path / "lih"
    words = ["molecule", "LiH", "--hidden", "4", "--no-references", "--quiet", "--out", str(folder)]
    assert main([*words, "--max-steps", "1"]) == 0
    before = content(folder / "result.json")
    assert any("the result is the state on these" in warning for warning in before["warnings"])
    trained = load_trained(RunDirectory.open(folder))
    assert trained.is_result
    assert len(trained.determinants) == before["n_determinants"] == 1
    assert main(["evaluate", str(folder), "--large", "4", "--precision", "1e-3", "--quiet"]) == 0
    after = content(folder / "result.json")
    vmc, full_sum = after["estimates"]["vmc"], before["estimates"]["full_sum"]
    assert abs(vmc["energy"] - full_sum["energy"]) < 4 * vmc["error"] + 1e-9
    assert after["estimates"]["full_sum"]["energy"] == pytest.approx(full_sum["energy"], abs=1e-9)


def test_same_seed_same_numbers(run):
    energies = []
    for _ in range(2):
        assert main(["evaluate", str(run), "--large", "6", "--quiet"]) == 0
        energies.append(content(run / "result.json")["estimates"]["vmc"]["energy"])
    assert energies[0] == energies[1]


def test_headline_of_a_monte_carlo_run_is_replaced(run):
    result = content(run / "result.json")
    result["levels"][0] |= {"kind": "vmc", "energy": -1.0}
    (run / "result.json").write_text(json.dumps({**result, "energy_kind": "vmc", "energy": -1.0}))
    assert main(["evaluate", str(run), "--quiet"]) == 0
    after = content(run / "result.json")
    assert after["energy"] == after["estimates"]["vmc"]["energy"]
    assert after["energy_error"] == after["estimates"]["vmc"]["error"]


def test_unfinished_run(run, capsys):
    (run / "result.json").unlink()
    assert main(["evaluate", str(run), "--quiet"]) == 0
    assert "has not ended" in capsys.readouterr().err
    assert not (run / "result.json").exists()
    assert content(run / "evaluation.json")["n_samples"] > 0


def test_result_of_another_step_stays(run, capsys):
    result = content(run / "result.json")
    (run / "result.json").write_text(json.dumps({**result, "n_steps": result["n_steps"] - 1}))
    assert main(["evaluate", str(run), "--quiet"]) == 0
    assert "stays as it is" in capsys.readouterr().err
    assert "vmc" not in content(run / "result.json")["estimates"]


def change_options(run):
    config = content(run / "config.json")
    config["options"]["hidden"] = [13]
    (run / "config.json").write_text(json.dumps(config))


class TestTrainedState:
    def test_checkpoint_and_final_parameters_agree(self, run):
        folder = RunDirectory.open(run)
        newest = load_trained(folder)
        assert newest.step == content(run / "result.json")["n_steps"]
        for path in folder.checkpoints().files():
            path.unlink()
        final = load_trained(folder)
        assert final.step == newest.step
        assert np.array_equal(newest.determinants, final.determinants)
        energies = [found.state.energy_at(found.state.variables) for found in (newest, final)]
        assert energies[0] == energies[1]
        assert energies[0] == pytest.approx(
            content(run / "result.json")["estimates"]["variational"]["energy"]
        )

    def test_nothing_trained(self, run):
        shutil.rmtree(run / "checkpoint")
        with pytest.raises(InputError, match="no checkpoint that is whole"):
            load_trained(RunDirectory.open(run))

    def test_the_network_is_that_of_the_file(self, run):
        change_options(run)
        assert load_trained(RunDirectory.open(run)).state.model.hidden == (12,)

    def test_folders_that_do_not_say_the_network_have_that_of_the_options(self, run):
        change_options(run)
        (final,) = (path for path in (run / "checkpoint").iterdir() if path.name == "final.npz")
        for path in (run / "checkpoint").iterdir():
            if path != final:
                path.unlink()
        with np.load(final) as archive:
            arrays = {name: archive[name] for name in archive.files if name != "network"}
        np.savez(final, **arrays)
        with pytest.raises(InputError, match="do not fit the run's options"):
            load_trained(RunDirectory.open(run))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "not a run folder"),
        (["nowhere", "--precision", "0"], "--precision must be positive"),
        (["nowhere", "--sampler", "exact"], "--sampler"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *words]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_observables_of_molecules_are_measured_from_the_samples(run, capsys):
    """Samples, weighted or of a table, agree with the sum over the sector within their error bars."""
    exact, kinds = None, []
    for words in ((), ("--sampler", "metropolis", "--samples", "4096", "--power", "1.4")):
        assert main(["evaluate", str(run), "--large", "6", "--precision", "1e-4", *words]) == 0
        found = content(run / "evaluation.json")["observables"]
        kinds.append(found["kind"])
        assert "natural occupations" in capsys.readouterr().out
        if exact is None:
            exact = found
            continue
        for name in ("s_squared", "dipole_au", "natural_occupations"):
            deviations = np.abs(np.subtract(found[name]["value"], exact[name]["value"]))
            assert np.all(deviations < 5.0 * np.array(found[name]["error"]) + 1e-4), name
    assert kinds == ["full_sum", "vmc"]
    assert main(["evaluate", str(run), "--no-observables", "--quiet"]) == 0
    assert content(run / "evaluation.json")["observables"] is None
