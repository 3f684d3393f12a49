"""Where numbers came from: versions of everything that computes, and the git commit of a checkout."""

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


def _git(*arguments: str) -> str | None:
    # Optional locks: asking for the state of a checkout must not write to it.
    command = ["git", "-C", str(_ROOT), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
