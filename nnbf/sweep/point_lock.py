"""Locks on points: one process works on a point, whatever becomes of the sweep that has started it.

`filelock` does not do here: the program that computes a point inherits the open file, so that a sweep that is
killed leaves its points locked for as long as they are still being computed, and no longer.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def take_lock(path: Path, *, wait: bool = False) -> int | None:
    """Lock a file, made where it is missing.

    Args:
        path: The file.
        wait: Whether to wait for a process that holds it.

    Returns:
        The open file, to be passed on or to `release_lock`; None where another process holds the lock.

    Raises:
        OSError: The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a network file system without locks
        pass
    return descriptor


def release_lock(descriptor: int) -> None:
    """Let others have a lock, also where a process that has inherited it is still there."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    with contextlib.suppress(OSError):
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock for a moment; the value of the context is false where another process has it."""
    descriptor = take_lock(path, wait=wait)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            release_lock(descriptor)
