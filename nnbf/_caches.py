"""Compiled programs that outlive their process: in the user's caches, bounded, never in the way."""

import contextlib
import hashlib
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from hamiltonians.errors import reason_of

VARIABLE = "NNBF_CACHE"
"""Variable of the environment: a folder for compiled programs, or "off"."""
MOST_BYTES = 512 * 2**20
"""Size from which on programs are deleted, those unused longest first."""
_OFF = ("off", "0", "no", "false", "none")
_FOLDER, _LEAST_SECONDS = "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_NEVER = 1e9  # seconds
_ERROR = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']*)': (.*)", re.S)


def keep_programs(warn: Callable[[str], object]) -> None:
    """Have JAX keep what it compiles, here and in processes begun here; before anything is compiled.

    A folder that the user has given to JAX (`JAX_COMPILATION_CACHE_DIR`) is left alone. Where nothing can be
    kept, everything is compiled as if there were no cache.

    Args:
        warn: Is given one line at most, where programs cannot be kept.
    """
    if os.environ.get(VARIABLE, "").strip().casefold() in _OFF:
        return
    try:
        folder = cache_folder() / "jax" / processor()
        if os.environ.get(_FOLDER, str(folder)) != str(folder):
            return
        # Not for others to write: whoever does could have us run anything.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid() and VARIABLE not in os.environ:
            raise PermissionError("it belongs to somebody else")
        prune(folder.parent)
    except (OSError, RuntimeError) as error:  # there may be no home
        warn(_unkept(reason_of(error)))
        return
    os.environ[_FOLDER] = str(folder)
    os.environ.setdefault(_LEAST_SECONDS, "0")
    if "jax" in sys.modules:  # by a plug-in: it has read its settings
        import jax

        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", float(os.environ[_LEAST_SECONDS]))
    _answer_errors(folder, warn)


def cache_folder() -> Path:
    """Return the folder of compiled programs (not made): the user's own, or one below ~/.cache.

    Raises:
        RuntimeError: There is no home directory.
    """
    if given := os.environ.get(VARIABLE, "").strip():
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "nnbf" / "compiled"


def processor() -> str:
    """Return a short name of the processor and its features, which JAX's keys do not hold."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = list(takewhile(str.strip, file))  # the first of them
    except OSError:  # not Linux
        lines = []
    features = sorted(line for line in lines if line.startswith(("model name", "flags", "Features")))
    known = "\n".join([platform.machine(), *(features or [platform.processor()])])
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def prune(folder: Path, most: int = MOST_BYTES) -> None:
    """Delete the programs below a folder that were unused longest, where they have more than so many bytes.

    A quarter of the room is made free at once.

    Args:
        folder: Holds a folder for each processor.
        most: Bytes.

    Raises:
        OSError: It cannot be read.
    """
    found = []
    for part in (entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)):
        for file in os.scandir(part):
            try:
                known = file.stat(follow_symlinks=False)
            except OSError:  # another process has deleted it
                continue
            found.append((max(known.st_atime, known.st_mtime), known.st_size, file.path))
    total = sum(size for _, size, _ in found)
    if total <= most:
        return
    for _, size, path in sorted(found):
        if total <= 0.75 * most:
            break
        total -= size
        _delete(path)


def _answer_errors(folder: Path, warn: Callable[[str], object]) -> None:
    """Deal with what JAX warns of: damaged programs are deleted, others are not written any more."""
    before = warnings.showwarning
    said: list[str] = []

    def show(message: Warning | str, *arguments: Any, **named: Any) -> None:
        found = _ERROR.match(str(message))
        if found is None:
            before(message, *arguments, **named)
            return
        doing, name, reason = found.groups()
        if doing == "reading":  # JAX would neither read nor replace it, in no process
            for file in folder.glob("*"):
                if file.name.startswith(f"{name}-"):
                    _delete(str(file))
        elif not said:
            import jax

            jax.config.update("jax_persistent_cache_min_compile_time_secs", _NEVER)
            said.append(_unkept(reason))
            warn(said[0])

    warnings.showwarning = show


def _unkept(reason: str) -> str:
    why = " ".join(reason.split())[:120]
    return (
        f"compiled programs cannot be kept for the next run ({why}): set {VARIABLE} to a folder that can be "
        'written, or to "off"'
    )


def _delete(path: str) -> None:
    with contextlib.suppress(OSError):  # another process was quicker, or may and we may not
        os.unlink(path)
