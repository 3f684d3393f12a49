"""What is asked of devices, their memory and other processes, without any of them."""

import jax
import numpy as np
import pytest

from hamiltonians import InputError
from nnbf import _devices, _processes
from nnbf.cli import main
from nnbf.sweep import slurm
from nnbf.sweep.slurm import PointJob, SlurmOptions


class Device:
    def __init__(self, limit, used):
        self._stats = None if limit is None else {"bytes_limit": limit, "bytes_in_use": used}

    def memory_stats(self):
        return self._stats


def test_rows_follow_from_the_memory_of_the_fullest_device(monkeypatch):
    assert _devices.free_memory() is None
    assert _devices.rows_at_once(4096) == 8192  # of CPUs nothing is known
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(80 * 2**30, 0), Device(80 * 2**30, 72 * 2**30)])
    assert _devices.free_memory() == 8 * 2**30
    assert _devices.rows_at_once(8192) == 2**15
    assert _devices.rows_at_once(10**9) == 64
    assert _devices.rows_at_once(1) == 2**17


def test_memory_that_fails_halves_the_rows_and_goes_on(monkeypatch, caplog):
    monkeypatch.setattr(_devices, "_ROOM", [1 << 30])
    tried = []

    def call(rows):
        tried.append(rows)
        if rows > 300:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
        return np.arange(rows)

    assert len(_devices.within_memory(call, 1024)) == 256
    assert tried == [1024, 512, 256]
    assert "256 configurations at once from now on" in caplog.messages[-1]
    assert len(_devices.within_memory(call, 1024)) == 256  # it is remembered
    assert tried[3:] == [256]


@pytest.mark.parametrize("error", ["RESOURCE_EXHAUSTED: 64 rows are too many", "INTERNAL: something else"])
def test_what_fewer_rows_do_not_help_is_raised(monkeypatch, error):
    monkeypatch.setattr(_devices, "_ROOM", [1 << 30])

    def call(rows):
        raise jax.errors.JaxRuntimeError(error)

    with pytest.raises(jax.errors.JaxRuntimeError, match=error[:12]):
        _devices.within_memory(call, 1 << 20)
    assert _devices._ROOM[-1] == (64 if error.startswith("RESOURCE") else 1 << 30)


SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "2", "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}  # fmt: skip


def test_who_computes_together(monkeypatch):
    for name in (_processes.VARIABLE, *SLURM):
        monkeypatch.delenv(name, raising=False)
    assert _processes.asked_for() is None
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert _processes.asked_for() == (1, 2)
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert _processes.asked_for() is None
    monkeypatch.setenv(_processes.VARIABLE, "0/4@node7:9000")
    assert _processes.asked_for() == (0, 4)
    monkeypatch.setenv(_processes.VARIABLE, "1")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert _processes.asked_for() is None  # a point of a sweep
    for wrong in ("4/4@node7:9000", "1/2", "two"):
        monkeypatch.setenv(_processes.VARIABLE, wrong)
        with pytest.raises(InputError, match="NNBF_PROCESSES is"):
            _processes.asked_for()


@pytest.mark.parametrize(
    ("per_node", "visible", "expected"),
    [("1(x2)", "0,1,2,3", [0, 1, 2, 3]), ("4(x2)", "0,1,2,3", [2]), ("4(x2)", "3", [0]), ("1", "", [0])],
)
def test_devices_of_a_task(monkeypatch, per_node, visible, expected):
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", per_node)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("SLURM_LOCALID", "2")
    assert _processes._slurm_devices() == expected


def test_one_process_agrees_with_itself():
    assert _processes.agreed(0.5) == 0.5
    assert (_processes.count(), _processes.is_first()) == (1, True)


def test_what_is_there_is_said(capsys):
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert "device 0: cpu (cpu)" in out
    assert "double precision" in out
    assert "8,192 configurations at once" in out


def test_a_plan_says_where(capsys):
    assert (
        main(["lattice", "tv", "--size", "4x1", "--particles", "2", "--compute", "device", "--dry-run"]) == 0
    )
    assert "programs on the device, double precision" in capsys.readouterr().out


def test_too_late_for_other_devices(capsys):
    assert main(["devices", "--devices", "3"]) == 2
    assert "--devices cannot be 3 here" in capsys.readouterr().err


def test_nodes_of_a_point(monkeypatch):
    with pytest.raises(InputError, match="slurm_nodes is for executor slurm"):
        SlurmOptions(slurm=True, slurm_executor="local", slurm_nodes=2)
    begun = []
    monkeypatch.setattr(slurm, "_node", lambda: 1)
    monkeypatch.setattr(slurm.subprocess, "run", lambda words, env, check: begun.append((words, env)))

    class Folder:
        def state(self, point):
            return type("State", (), {"done": bool(begun), "status": "converged"})

        def run(self, point):
            return "runs/p"

    assert PointJob(Folder(), "p", ("nnbf",), 2)() == "converged"
    ((words, environment),) = begun
    assert words == ["nnbf", "resume", "runs/p"]
    assert environment[_processes.VARIABLE] == ""


@pytest.mark.parametrize(("platform", "found", "most"), [("cpu", 900, 64), ("gpu", 4, 4)])
def test_no_more_devices_than_a_machine_has(monkeypatch, platform, found, most):
    """Cores of a CPU make up any number, but threads of hundreds help nobody."""
    monkeypatch.setattr(_devices, "_USED", [])
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr(jax, "local_device_count", lambda: found)
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(InputError, match=f"at most {most} on this machine, got 900"):
        _devices.use_devices(900)
    assert _devices._USED == []
