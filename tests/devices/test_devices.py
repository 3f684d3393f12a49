"""The same runs on one device and on several, by one process and by two, and when one is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hamiltonians import build_molecule, load_problem
from nnbf import _processes
from nnbf.drivers import supervision
from nnbf.runs import plan_resumption, resume_run
from tests.devices import runs

ROOT = Path(__file__).resolve().parents[2]
CLOSE = 1e-9
RUNS = ("N2 selected", "sheet vmc", "t-V full sum", "Hubbard vmc")


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("systems")
    build_molecule("N2", references=False).save(folder / "n2.npz")
    sheet = "; ".join(f"H {1.2 * x} {1.2 * y} 0" for x in range(3) for y in range(2))
    build_molecule(sheet, references=False, orbitals="lowdin").save(folder / "sheet.npz")
    return folder


@pytest.fixture(scope="module")
def on_one(systems):
    return runs.all_of_it(systems)


def begun(*words, devices=1, **environment):
    """A process with so many devices; a warning, as of arrays that are not spread over them, is an error."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags.strip(), **environment}
    command = [sys.executable, "-W", "error", "-m", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def same(found, expected):
    assert found.keys() <= expected.keys()
    for name, values in found.items():
        assert values == pytest.approx(expected[name], abs=CLOSE, rel=0), name


@pytest.mark.parametrize("devices", [pytest.param(2, marks=pytest.mark.slow), 8])
def test_the_same_runs_on_many_devices(systems, on_one, devices):
    out, errors = begun("tests.devices.runs", systems, devices=devices).communicate()
    assert errors == ""
    found = json.loads(out)
    assert found.pop("devices") == devices
    faults = found.pop("faults")
    assert faults.pop("not spread") == 0
    assert max(faults.values()) < 1e-12, faults
    same(found, on_one)


@pytest.mark.slow
def test_programs_of_jax_on_many_devices(systems):
    """And the kernels of the host find the same."""
    out, errors = begun("tests.devices.runs", systems, "jax", devices=2).communicate()
    assert errors == ""
    found = json.loads(out)
    assert found["N2 selected"] == pytest.approx(runs.by_jax(systems)["N2 selected"], abs=CLOSE, rel=0)
    host = runs.followed(load_problem(systems / "n2.npz"), runs.N2, method="selected")[1]
    assert found["N2 selected"] == pytest.approx(host, abs=CLOSE, rel=0)


def pair(*words):
    """Two processes that compute together."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return [begun(*words, **{_processes.VARIABLE: f"{k}/2@127.0.0.1:{port}"}) for k in range(2)]


def rows(folder):
    file = folder / "history.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines]


def until_steps(both, folder, steps):
    while len(rows(folder)) < steps:
        assert all(process.poll() is None for process in both), [p.communicate() for p in both]
        time.sleep(0.1)


def energies(folder):
    final = json.loads((folder / "result.json").read_text())["energy"]
    return [row["energy"] for row in rows(folder)] + [final]


@pytest.mark.parametrize(
    ("more", "killed"),
    [((), 1), pytest.param(("every",), 0, marks=pytest.mark.slow)],
    ids=["second", "first"],
)
def test_two_processes(systems, on_one, tmp_path, more, killed):
    both = pair("tests.devices.together", systems, tmp_path, *more)
    try:
        until_steps(both, tmp_path / "endless", 3)
        both[killed].send_signal(signal.SIGKILL)
        _, errors = both[1 - killed].communicate(timeout=60)
    finally:
        for process in both:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
    assert both[1 - killed].returncode == 1
    folder = tmp_path / "endless"
    (line,) = [line for line in errors.splitlines() if line.startswith("error:")]
    assert f"process {killed} of 2 has ended: 'nnbf resume {folder}' goes on" in line
    found = {name: energies(tmp_path / name) for name in RUNS if (tmp_path / name).is_dir()}
    assert len(found) == (4 if more else 1)
    tv = found.pop("t-V full sum", None)
    if tv is not None:  # the first of three attempts
        steps = len(on_one["t-V full sum"]) - 1
        assert tv[:steps] == pytest.approx(on_one["t-V full sum"][:steps], abs=CLOSE)
    same({**found, "evaluate": json.loads((tmp_path / "evaluate.json").read_text())}, on_one)
    gone_on_alone(systems, folder)


def gone_on_alone(systems, folder):
    """What two processes have left, gone on with by one, is what one would have made."""
    done = len(rows(folder)) + 1
    resume_run(plan_resumption(folder, max_steps=done))
    from hamiltonians import load_problem
    from nnbf.runs import run_system

    alone = replace(runs.ENDLESS, max_steps=done)
    run_system(load_problem(systems / "n2.npz"), alone, out=folder.with_name("alone"))
    assert energies(folder) == pytest.approx(energies(folder.with_name("alone")), abs=1e-7)


def test_processes_that_come_apart(monkeypatch):
    """As with a Hamiltonian that is another one on every node (NetKet's issue 2178)."""
    monkeypatch.setattr(supervision, "agreed", lambda energy: -1.0)
    supervision._require_agreement({"energy": -1.0 + 1e-9})
    with pytest.raises(RuntimeError, match="come apart"):
        supervision._require_agreement({"energy": -1.01})
