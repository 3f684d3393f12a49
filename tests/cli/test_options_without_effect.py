"""Options that would be ignored are refused before anything is computed, and what they are for is said."""

import re
import shutil
from pathlib import Path

import pytest

from hamiltonians import InputError
from nnbf.drivers.options import GeneralOptions, LatticeOptions, SolverOptions
from nnbf.drivers.unused_options import require_effect

FOLDERS = Path(__file__).resolve().parents[1] / "fixtures" / "folders"
TV = ("tv", "--size", "2x2", "--particles", "2")
HUBBARD = ("hubbard", "--size", "2x2", "--particles", "2,2", "--interaction", "4")
VMC, NETWORK = ("--method", "vmc"), ("--network", "dense")

MOLECULES = {
    "samples of exact sums": (["--n-samples", "64"], "--n-samples has no effect here, it is for method vmc"),
    "sampler of exact sums": (["--sampler", "exact"], "--sampler"),
    "power of exact sums": (["--sampling-power", "1.5"], "--sampling-power"),
    "proposals of exact sums": (["--proposal", "uniform"], "--proposal"),
    "chains of exact sums": (["--n-chains", "8"], "--n-chains"),
    "sweeps of exact sums": (["--sweep-size", "8"], "--sweep-size"),
    "temperatures of exact sums": (["--n-temperatures", "2"], "--n-temperatures"),
    "precision of exact sums": (["--tail-steps", "0", "--precision", "1e-3"], "--precision"),
    "space of samples": ([*VMC, "--max-space", "64"], "--max-space has no effect here, it is for method sel"),
    "accuracy of samples": ([*VMC, "--accuracy", "1e-3"], "--accuracy"),
    "tolerance of samples": ([*VMC, "--energy-tolerance", "1e-3"], "--energy-tolerance"),
    "local energies of samples": ([*VMC, "--no-truncated"], "--truncated"),
    "tail of samples": ([*VMC, "--tail-steps", "3"], "--tail-steps"),
    "chains of a list": ([*VMC, "--sampler", "exact", "--n-chains", "8"], "--n-chains .* sampler metropolis"),
    "rate of a line search": (["--learning-rate", "0.1"], "--learning-rate .* the optimizers sr and adam"),
    "momentum of a line search": (["--momentum", "0.1"], "--momentum"),
    "momentum of adam": (["--optimizer", "adam", "--momentum", "0.1"], "--momentum"),
    "damping of adam": (["--optimizer", "adam", "--damping", "0.1"], "--damping"),
    "step of adam": (["--optimizer", "adam", "--max-step", "0.1"], "--max-step"),
    "solver of adam": (["--optimizer", "adam", "--dense-limit", "10"], "--dense-limit"),
    "fields of no network": (["--network-options", "hidden = [4]"], "--network-options"),
    "widths of another network": ([*NETWORK, "--hidden", "8"], "--hidden .* it is for neural backflow"),
    "determinants of another network": ([*NETWORK, "--n-determinants", "1"], "--n-determinants"),
    "blocks of another network": ([*NETWORK, "--no-blocked"], "--blocked"),
    "flip of another network": ([*NETWORK, "--spin-flip", "none"], "--spin-flip"),
    "noise of another network": ([*NETWORK, "--noise", "0.1"], "--noise"),
    "limit of no references": (["--no-references", "--fci-limit", "10"], "--fci-limit has no effect"),
    "density of no truncation": (["--fno-density", "ccsd"], "--fno-density ccsd needs"),
    "unit of a bundled molecule": (["--unit", "bohr"], "leave out --unit"),
}


@pytest.mark.parametrize(("words", "message"), MOLECULES.values(), ids=MOLECULES.keys())
def test_molecule(refused, words, message):
    assert re.search(f"^error: .*{message}", refused("molecule", "H2", *words))


LATTICES = {
    "samples of sums": (["lattice", *TV, "--n-samples", "64"], "--n-samples .* method vmc"),
    "power of sums": (["spectrum", *TV, "--sampling-power", "1"], "--sampling-power"),
    "sweeps of sums": (["spectrum", *TV, "--sweep-size", "9"], "--sweep-size"),
    "rate of sums": (["charge", *TV, "--learning-rate", "0.1"], "--learning-rate"),
    "window of sums": (["charge", *TV, "--window", "10"], "--window"),
    "momentum of sums": (["lattice", *TV, "--spring", "0.5"], "--spring"),
    "precision of sums": (["lattice", *TV, "--precision", "0.1"], "--precision"),
    "last samples of sums": (["lattice", *TV, "--final-samples", "99"], "--final-samples"),
    "warm-up of sums": (["lattice", *TV, "--warm-up", "3"], "--warm-up"),
    "penalty of sums": (["lattice", *HUBBARD, "--spin-penalty", "1"], "--spin-penalty .* method vmc"),
    "tolerance of samples": (["lattice", *TV, *VMC, "--tolerance", "0.1"], "--tolerance .* method full-sum"),
    "solver of samples": (["lattice", *TV, *VMC, "--dense-limit", "10"], "--dense-limit"),
    "limit of samples": (["lattice", *TV, *VMC, "--full-sum-limit", "10"], "--full-sum-limit"),
    "excitations by samples": (["charge", *TV, *VMC], "leave out --method"),
    "spin of the spinless": (["charge", *TV, "--electron", "down"], "spin"),
    "cell of another network": (["lattice", *TV, *NETWORK, "--cell", "1,1"], "--cell .* neural backflow"),
    "features of another network": (["lattice", *TV, *NETWORK, "--features", "4"], "--features"),
    "factor of another network": (["lattice", *TV, *NETWORK, "--no-jastrow"], "--jastrow"),
    "fields of no network": (["lattice", *TV, "--network-options", "a = 1"], "--network-options"),
    "network of nothing": (
        ["lattice", *TV, "--backflow", "none", "--no-network-jastrow", "--depth", "1"],
        "--depth",
    ),
    "repulsion twice": (["lattice", *TV, "--neighbour-repulsion", "1"], "--neighbour-repulsion"),
    "hopping to nobody": (
        ["lattice", "tv", "--size", "1x1", "--particles", "1", "--next-hopping", "1"],
        "t'",
    ),
}


@pytest.mark.parametrize(("words", "message"), LATTICES.values(), ids=LATTICES.keys())
def test_lattices(refused, words, message):
    assert re.search(message, refused(*words))


def test_saved_systems_keep_their_references(refused, system, tmp_path):
    path = str(system.save(tmp_path / "s.npz"))
    assert "leave out --fci-limit" in refused("fcidump", path, "--fci-limit", "10")
    assert "leave out --references" in refused("fcidump", path, "--no-references")


@pytest.mark.parametrize(
    ("folder", "words", "message"),
    [
        (
            "lih_selected",
            ["--sampler", "sector", "--chains", "8"],
            "--chains has no effect with sampler sector",
        ),
        ("lih_selected", ["--sampler", "sector", "--power", "1.5"], "--power"),
        ("lih_selected", ["--sampler", "metropolis", "--sector-limit", "8"], "--sector-limit"),
        ("lih_selected", ["--sampler", "metropolis", "--full-sum-limit", "8"], "--full-sum-limit"),
        ("lih_selected", ["--state", "0-0_A1_0"], "--state is for lattices"),
        ("tv_spectrum", ["--large", "8"], "--large is for molecules"),
        ("tv_spectrum", ["--sampler", "sector"], "--sampler is for molecules"),
    ],
)
def test_evaluate(refused, tmp_path, folder, words, message):
    run = shutil.copytree(FOLDERS / folder, tmp_path / "run")
    assert message in refused("evaluate", str(run), *words)


def test_sweeps(refused, here):
    words = {"--slurm-time": "9", "--slurm-partition": "cpu", "--slurm-options": "account=x"}
    for flag, value in words.items():
        assert f"{flag} is for jobs of a cluster" in refused("sweep", "m.toml", flag, value)
    assert "--slurm-parallel" in refused("sweep", "m.toml", "--slurm", "--workers", "2")


@pytest.mark.parametrize(
    ("options", "methods", "named"),
    [
        (GeneralOptions(n_samples=64), ("full-sum",), "n_samples"),
        (GeneralOptions(learning_rate=0.1), ("full-sum",), "learning_rate"),
        (GeneralOptions(tolerance=0.1), ("vmc",), "tolerance"),
        (GeneralOptions(full_sum_limit=10), ("vmc",), "full_sum_limit"),
    ],
)
def test_problems_of_users(options, methods, named):
    with pytest.raises(InputError, match=f"{named} has no effect"):
        require_effect(options, methods)


@pytest.mark.parametrize("options", [SolverOptions(), LatticeOptions(), GeneralOptions()])
def test_defaults_are_no_mistakes(options):
    for methods in (("full-sum",), ("vmc",), ("selected",), ("full-sum", "vmc")):
        require_effect(options, methods)


def test_sectors_that_are_summed_and_sampled_take_both():
    require_effect(LatticeOptions(n_samples=64, tolerance=1e-6), ("full-sum", "vmc"))
