"""Where numbers came from: versions of everything that computes, git commit of a checkout, processor."""

import os
import platform
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

_DISTRIBUTIONS = ("jax", "jaxlib", "netket", "flax", "numpy", "scipy", "numba", "pyscf", "openfermion")
_ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str | None]:
    """Return versions by name; None for what is not installed."""
    found: dict[str, str | None] = {"nnbf": program_version(), "python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def program_version() -> str:
    """Return the version of nnbf, also from a checkout that is not installed."""
    try:
        return metadata.version("nnbf")
    except metadata.PackageNotFoundError:
        project = _ROOT / "pyproject.toml"
        if project.is_file():
            return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
        return "unknown"


def git_state() -> dict[str, Any] | None:
    """Return {"commit", "modified"} of the checkout that nnbf runs from, or None outside of one."""
    if not (_ROOT / ".git").exists():
        return None
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    if commit is None:
        return None
    return {"commit": commit, "modified": None if changes is None else bool(changes)}


def hardware() -> dict[str, Any]:
    """Return what kind of machine this is, without its name: processor, cores, system.

    JAX is not asked for its devices: that would take them, before the processes that compute do.
    """
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or platform.processor() or None


def _git(*arguments: str) -> str | None:
    # Optional locks: asking for the state of a checkout must not write to it.
    command = ["git", "-C", str(_ROOT), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
