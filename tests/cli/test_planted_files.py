"""Files of the current folder, which anybody may have written, are not run by what is started in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MARK = "from pathlib import Path\nPath(__file__).with_name('MARKER').touch()\n"
PROGRAM = "import sys\nfrom nnbf.cli.main import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


def program(here, *words):
    """Run the program by a script, as it is installed: the current folder is not on the path."""
    script = here.with_name("script")
    script.mkdir(exist_ok=True)
    (script / "run_it.py").write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, str(script / "run_it.py"), *words],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def planted(tmp_path):
    """A folder with modules that programs import, and files that libraries read."""
    here = tmp_path / "here"
    for package in ("nnbf", "hamiltonians", "jax"):
        (here / package).mkdir(parents=True)
        (here / package / "__init__.py").write_text(MARK)
    for module in ("numpy", "random", "pickle", "json", "multiprocessing", ".pyscf_conf"):
        (here / f"{module}.py").write_text(MARK)
    (here / "matplotlibrc").write_text("text.usetex: True\naxes.prop_cycle: open('MARKER', 'w')\n")
    (here / ".numba_config.yaml").write_text("cache_dir: cache\ndump_optimized: 1\n")
    (here / "cache").mkdir()
    yield here
    assert not [*here.rglob("MARKER")]
    assert [*(here / "cache").iterdir()] == []


@pytest.mark.slow
def test_points_of_a_sweep(planted):
    manifest = (
        '[sweep]\ncommand = "molecule"\n[base]\nmax-steps = 2\nhidden = [4]\n[grid]\nmolecule = ["H2"]\n'
    )
    (planted / "m.toml").write_text(manifest)
    done = program(planted, "sweep", "m.toml", "--out", "out", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_workers(planted):
    words = ["spectrum", "tv", "--size", "2x2", "--particles", "2", "--workers", "2", "--max-steps", "2"]
    done = program(planted, *words, "--out", "out", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (planted / "out" / "report").is_dir()


PLUGIN = """
from nnbf import register_ansatz
from nnbf.ansatz.named_networks import DenseNetwork

@register_ansatz("mine")
class Mine(DenseNetwork):
    pass
"""
POINTS = '[sweep]\ncommand = "molecule"\n[base]\nnetwork = "mine"\nmax-steps = 2\n[grid]\nmolecule = ["H2"]\n'


@pytest.mark.slow
def test_points_find_plug_ins(tmp_path):
    """By their files, and by their modules where the program itself was begun with these on its path."""
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "m.toml").write_text(POINTS)
    words = ["sweep", "m.toml", "--quiet", "--out"]
    done = program(tmp_path, "--plugin", "mine.py", *words, "by_file")
    assert (done.returncode, done.stderr) == (0, "")
    command = [sys.executable, "-m", "nnbf.cli", "--plugin", "mine", *words, "by_module"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
