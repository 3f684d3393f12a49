"""Timing, the machine it was done on, and files of results: what all benchmarks share."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jax

from nnbf.runs.process import git_state, versions

RESULTS = Path(__file__).resolve().parent / "results"
"""Where the last result of every benchmark is kept."""

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "XLA_FLAGS", "JAX_PLATFORMS")


@dataclass
class Timing:
    """Times of one action, in seconds."""

    first_s: float
    """The first call: compilation, or loading of compiled code, included."""
    warm_s: list[float] = field(default_factory=list)
    """Later calls."""

    @property
    def best(self) -> float:
        """The shortest warm time: what is left when nothing else disturbs."""
        return min(self.warm_s)

    def record(self) -> dict[str, Any]:
        """As a dictionary, with the best and the median."""
        return {**asdict(self), "best_s": self.best, "median_s": statistics.median(self.warm_s)}


def seconds(action: Callable[[], object]) -> float:
    """Time one call, until its arrays are there."""
    started = time.perf_counter()
    jax.block_until_ready(action())
    return time.perf_counter() - started


def in_turn(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Timing]:
    """Time several actions in turn, so that a busy machine slows all of them alike.

    Args:
        actions: Name -> action.
        repeats: Warm calls of each.
    """
    timings = {name: Timing(seconds(action)) for name, action in actions.items()}
    for _ in range(repeats):
        for name, action in actions.items():
            timings[name].warm_s.append(seconds(action))
    return timings


def provenance() -> dict[str, Any]:
    """When, on what machine, how busy it was, and with which versions."""
    return {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "system": platform.platform(),
            "load_before": list(os.getloadavg()),
            "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        },
        "versions": versions(),
        "git": git_state(),
    }


def machine_line(record: Mapping[str, Any]) -> str:
    """One line on the machine of `provenance`, for the head of a table."""
    machine, found = record["machine"], record["versions"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, load before {machine['load_before'][0]:.1f}; "
        f"Python {found['python']}, JAX {found['jax']}, NetKet {found['netket']}; "
        f"{record['created']}"
    )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON; the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def label_error_panels(left: Any, right: Any, names: tuple[str, str], title: str) -> None:
    """Two panels of errors against cost: logarithmic axes, chemical accuracy, labels.

    Args:
        left, right: Matplotlib axes; the left one has the title and the label of errors.
        names: Labels of their costs.
        title: Above the left one.
    """
    for panel, name in zip((left, right), names, strict=True):
        panel.set(xscale="log", yscale="log", xlabel=name)
        panel.axhline(1.6, color="0.6", linewidth=0.8, linestyle="--")
        panel.grid(alpha=0.25)
    left.set_ylabel("error to FCI (mHa)")
    left.set_title(title, loc="left")


def read_json(path: Path) -> dict[str, Any]:
    """Read an object that `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def row(what: str, ours: float, netket: float, required: float | None, *, unit: str = "s") -> dict[str, Any]:
    """One line of a comparison: times in s (or memory in MB), and whether the required ratio was met."""
    ratio = netket / ours
    met = None if required is None else bool(ratio >= required)
    amounts = {f"nnbf_{unit}": ours, f"netket_{unit}": netket}
    return {"what": what, **amounts, "ratio": ratio, "required": required, "met": met}


def short_amount(entry: Mapping[str, Any], side: str) -> str:
    """Time or memory of a side in a line of a comparison, with its unit."""
    if f"{side}_MB" in entry:
        return f"{entry[f'{side}_MB']:,.0f} MB"
    return short_time(entry[f"{side}_s"])


def short_time(value: float) -> str:
    """Seconds with a unit that suits them."""
    if value < 1e-3:
        return f"{1e6 * value:.0f} us"
    if value < 1.0:
        return f"{1e3 * value:.3g} ms"
    return f"{value:.3g} s"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
