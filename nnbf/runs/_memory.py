"""How much memory solving takes."""

import contextlib
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class MemoryMeter:
    """The highest resident memory of this process since the meter was made."""

    def __init__(self) -> None:
        """Start, from the present memory where the system can (Linux), else from the highest so far."""
        with contextlib.suppress(OSError):
            _CLEAR.write_text(_RESET_PEAK)
        self._before = _peak_mb()

    def record(self) -> dict[str, float]:
        """Return megabytes (1e6 bytes): of the process at its highest, and what has been added since."""
        peak = _peak_mb()
        return {"peak_memory_mb": round(peak, 1), "memory_mb": round(peak - self._before, 1)}


def _peak_mb() -> float:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1]) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
