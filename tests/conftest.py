"""What the whole suite shares."""

from __future__ import annotations

import gc
import hashlib
import os
import platform
from pathlib import Path

import jax
import pytest


def _processor() -> str:
    """Short name of the processor and its features, which compiled programs depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    features = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    return hashlib.sha256("\n".join([platform.machine(), *sorted(features)]).encode()).hexdigest()[:12]


# Many tests compile the same programs: in both workers, and in the commands that they start.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _CACHE = str(Path(__file__).parents[1] / "build" / "compiled" / _processor())
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


@pytest.fixture(scope="module", autouse=True)
def _few_compiled_programs():
    yield
    if _memory_maps() > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()
