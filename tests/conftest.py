"""What the whole suite shares."""

from __future__ import annotations

import gc
import os
import runpy
from pathlib import Path

import jax
import pytest

from nnbf._caches import processor

# Another processor, for these tests and for the commands that they start; see the file.
if "NNBF_TEST_ROTATION" in os.environ:
    _OTHER = str(Path(__file__).parent / "other_processor")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_OTHER, os.environ.get("PYTHONPATH"))))
    runpy.run_path(f"{_OTHER}/sitecustomize.py")

# Many tests compile the same programs: in both workers, and in the commands that they start.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _CACHE = str(Path(__file__).parents[1] / "build" / "compiled" / processor())
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_compilation_cache_dir", _CACHE)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# Every compiled program keeps a few memory maps of its process; Linux allows 65,530 of them, and XLA crashes
# at the limit.
_MOST_MAPS = 20_000


def _memory_maps() -> int:
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:  # not Linux: there is no such limit
        return 0


# The files that take longest come first, so that all workers end at about the same time. The first two need
# different compiled kernels: what one worker has compiled, the others find on disk.
_LONG = (
    "drivers/test_solve.py",
    "drivers/test_lattice.py",
    "runs/test_old_folders.py",
    "drivers/test_lattice_vmc.py",
    "devices/test_devices.py",
    "runs/test_levels.py",
    "sweep/test_real_curve.py",
    "cli/test_spectrum.py",
    "operators/test_netket.py",
    "drivers/test_vmc.py",
    "ansatz/test_backflow.py",
    "drivers/test_bounds.py",
    "evaluation/test_energy.py",
    "cli/test_plugins.py",
    "evaluation/test_lattice_sampling.py",
    "hamiltonians/formats/test_netket.py",
    "drivers/test_calculation.py",
    "drivers/test_mean_field_starts.py",
    "drivers/test_spin_target.py",
    "drivers/test_driver.py",
    "optimize/test_structured.py",
    "operators/test_molecular.py",
    "ansatz/test_projection.py",
    "states/test_space_state.py",
    "hamiltonians/molecule/test_build.py",
    "operators/test_own_hamiltonian.py",
    "drivers/test_sampled_power.py",
    "evaluation/test_lattice_command.py",
    "evaluation/test_command.py",
    "runs/test_resume.py",
    "sampling/test_hops.py",
    "sampling/test_samplers.py",
    "determinants/test_slater_condon.py",
    "states/test_complement.py",
    "drivers/test_charge.py",
    "sweep/test_slurm.py",
    "sweep/test_kills.py",
    "runs/test_kills.py",
    "test_project.py",
)


def pytest_collection_modifyitems(items):
    place = {Path(__file__).parent / name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts():
    """Files are not synced to disk: no test needs it, and it takes most of the time of those that write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module", autouse=True)
def _few_compiled_programs():
    yield
    if _memory_maps() > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()
