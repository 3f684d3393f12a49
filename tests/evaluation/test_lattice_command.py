"""`nnbf evaluate` on the folders of lattice runs."""

import json
import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.cli import main
from nnbf.drivers import make_lattice_ansatz
from nnbf.drivers.calculation import with_determinants
from nnbf.drivers.operator_levels import level_of_state
from nnbf.drivers.sector_levels import sector_state
from nnbf.runs import RunDirectory, plan_resumption
from nnbf.runs.checkpoint import load_checkpoint, save_checkpoint
from nnbf.runs.trained import load_trained
from nnbf.sampling import ordered_configuration

MODEL = ("tv", "--size", "4x2", "--particles", "3", "--interaction", "1.5", "--boundary", "apbc,pbc")
NETWORK = ("--features", "3", "--depth", "1", "--cell", "1,1")
QUICK = ("--chains", "32", "--precision", "0.05")


def content(path):
    return json.loads(path.read_text())


def not_optimised(task):
    """A level with the parameters of the start, changed at random: far from any eigenstate."""
    state = sector_state(task.problem, task.sector, task.options)
    keys = iter(jax.random.split(jax.random.key(3), 99))
    state.parameters = jax.tree.map(
        lambda leaf: leaf + 0.3 * jax.random.normal(next(keys), leaf.shape), state.parameters
    )
    return replace(level_of_state(task.problem, task.sector, state), status="converged", n_steps=1)


@pytest.fixture(scope="module")
def summed(tmp_path_factory):
    """One level, by a full sum."""
    folder = tmp_path_factory.mktemp("runs") / "sums"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnbf.drivers.sector_levels.full_sum_level", not_optimised)
        patch.setattr("nnbf.drivers.calculation.RETRIES", 0)
        words = ["--momenta", "1,1", "--irreps", "none", "--quiet", "--out", str(folder)]
        assert main(["spectrum", *MODEL, *NETWORK, *words]) == 0
    return folder


@pytest.fixture
def sampled(summed, tmp_path):
    """The same state as Monte Carlo would have left it."""
    run = shutil.copytree(summed, tmp_path / "run")
    config, result = content(run / "config.json"), content(run / "result.json")
    config["command"] = "lattice"
    del config["limits"]["workers"]
    config["options"]["method"] = "vmc"
    level = result["levels"][0] | {"kind": "vmc", "error": 0.1, "energy": -4.0, "n_samples": 64}
    result |= {"command": "lattice", "levels": [level]}
    result |= {"energy": -4.0, "energy_kind": "vmc", "energy_error": 0.1, "observables": None}
    (run / "config.json").write_text(json.dumps(config))
    (run / "result.json").write_text(json.dumps(result))
    return run


def test_the_energy_of_a_monte_carlo_run_is_replaced(summed, sampled, capsys):
    run = sampled
    before = content(run / "result.json")
    numbers = []
    for more in (["--no-observables"], []):
        assert main(["evaluate", str(run), *QUICK, "--seed", "3", *more]) == 0
        shown = capsys.readouterr().out
        result, record = content(run / "result.json"), content(run / "evaluation.json")
        numbers.append(result["energy"])
    assert numbers[0] == numbers[1]
    vmc, level = result["estimates"]["vmc"], result["levels"][0]
    assert (result["energy_kind"], level["kind"], record["kind"]) == ("vmc", "vmc", "vmc")
    assert result["energy"] == vmc["energy"] == level["energy"] == record["rounds"][-1]["energy"]
    assert result["energy_error"] == vmc["error"] == level["error"] <= 0.05
    assert (vmc["n_samples"], vmc["status"], vmc["seed"]) == (4096, "precision", 3)
    assert level["tau_corr"] == vmc["tau"]
    assert {"variance", "variance_error", "v_score", "r_hat", "acceptance", "power", "n_effective"} <= set(
        vmc
    )
    exact = content(summed / "result.json")["energy"]
    assert abs(vmc["energy"] - exact) < 4 * vmc["error"]
    assert 1e-3 < vmc["error"] < np.sqrt(vmc["variance"] / 1000)
    found = result["observables"]
    assert (found["kind"], found["n_samples"]) == ("vmc", 4096)
    assert found == record["observables"]
    assert sum(weight["value"] for weight in found["symmetry"]["irreps"].values()) == pytest.approx(
        1, abs=0.1
    )
    for name in ("status", "system", "references", "n_levels_wanted", "wall_time_s"):
        assert result[name] == before[name]
    assert "sampled     " in shown
    assert "samples of |psi|^" in shown
    # What else works on the folder goes on doing so.
    assert main(["report", str(run), "--quiet"]) == 0
    assert main(["resume", str(run)]) == 0
    assert "nothing is missing" in capsys.readouterr().out
    assert content(run / "result.json") == result


def test_full_sums_stay_the_headline(summed, tmp_path, capsys):
    run = shutil.copytree(summed, tmp_path / "run")
    before = content(run / "result.json")
    words = [*QUICK, "--power", "1.5", "--no-observables", "--samples", "512"]
    assert main(["evaluate", str(run), *words, "--state", "1-1_0.npz"]) == 0
    assert "full sum" in capsys.readouterr().out
    after = content(run / "result.json")
    level, lowest = after["levels"][0], after["levels"][0]["vmc"]
    assert (lowest["n_samples"], lowest["status"]) == (512, "samples")
    assert (lowest["power"], lowest["upper_bound"]) == (1.5, True)
    assert abs(lowest["energy"] - level["energy"]) < 5 * lowest["error"]
    assert abs(lowest["variance"] - level["variance"]) < 5 * lowest["variance_error"]
    assert after["estimates"] == {**before["estimates"], "vmc": lowest}
    assert {**after, "levels": [], "estimates": {}} == {**before, "levels": [], "estimates": {}}
    record = content(run / "evaluation.json")
    assert (record["state"], record["observables"]) == ("1-1_0", None)
    # What is resumed keeps it.
    plan = plan_resumption(run)
    assert (plan.n_done, plan.nothing_to_do) == (1, "1 levels done, nothing is missing")


def test_what_cannot_be_evaluated(summed, tmp_path, capsys):
    run = shutil.copytree(summed, tmp_path / "run")

    def refused(*words):
        assert main(["evaluate", *words]) == 2
        shown = capsys.readouterr().err
        assert shown.count("\n") == 1
        return shown

    assert "it has 1-1_0" in refused(str(run), "--state", "7-0_0")
    assert "large is for molecules" in refused(str(run), "--large", "5")
    assert "--power must lie in [1, 2]" in refused(str(run), "--power", "3")
    assert "at least 16 on lattices" in refused(str(run), "--chains", "8")
    assert "--samples must be at least 1" in refused(str(run), "--samples", "0")
    assert content(run / "result.json") == content(summed / "result.json")
    # Folders of format 1 do not say which network it is.
    state = run / "states" / "1-1_0.npz"
    save_checkpoint(state, load_checkpoint(state).parameters)
    config = content(run / "config.json")
    other = {**config, "options": {**config["options"], "features": 4}}
    (run / "config.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match="do not fit the run's options"):
        load_trained(RunDirectory.open(run))
    (run / "config.json").write_text(json.dumps(config))
    state.write_bytes(state.read_bytes()[:-5])
    assert "1-1_0.npz is not a readable checkpoint" in refused(str(run))
    (run / "result.json").unlink()
    assert f"'nnbf resume {run}' goes on" in refused(str(run))


def test_parameters_of_a_level_with_more_determinants(summed, tmp_path):
    """Full sums that were tried again have other networks than the options say."""
    run = shutil.copytree(summed, tmp_path / "run")
    job = plan_resumption(run).job
    plain = load_trained(RunDirectory.open(run))
    (sector,) = job.sectors
    options = with_determinants(job.problem, sector, job.options, 1)
    ansatz = make_lattice_ansatz(job.problem, sector, options)
    assert ansatz != plain.network
    example = jnp.asarray(ordered_configuration(job.problem))[None]
    shapes = jax.eval_shape(ansatz.init, jax.random.key(0), example)["params"]
    halves = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5), shapes)
    save_checkpoint(run / "states" / f"{plain.name}.npz", halves)
    found = load_trained(RunDirectory.open(run))
    assert found.network == ansatz
    assert all(np.all(leaf == 0.5) for leaf in jax.tree.leaves(found.variables))
