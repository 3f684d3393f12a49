"""What the whole suite shares."""

from __future__ import annotations

import gc
from pathlib import Path

import jax
import pytest

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
