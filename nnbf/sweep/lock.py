"""Locks on points: one process works on a point, and the lock ends with that process whatever ends it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class PointLock:
    """A lock that is held.

    The program that computes the point inherits the open file: a sweep that is killed leaves its points
    locked for as long as they are still being computed, and no longer.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over an open, locked file."""
        self.descriptor = descriptor
        """The open file, to be passed on."""

    @classmethod
    def take(cls, path: Path) -> "PointLock | None":
        """Lock a file, made where it is missing; None where another process holds it.

        Raises:
            OSError: The file cannot be opened.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:  # a network file system without locks
            pass
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it, also where a process that has inherited it is still there."""
        with contextlib.suppress(OSError):
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for a lock, and hold it for a moment."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with contextlib.suppress(OSError):  # a network file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
