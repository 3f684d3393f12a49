"""Kernels compiled by Numba, whose programs are kept on disk where that has room for them."""

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from hamiltonians.errors import extra


class _Programs(FunctionCache):
    """Programs on disk."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # as after a module of the arguments' types was renamed: the source is here
            extra("the cache", self.flush, lambda why: None)
            return None

    def save_overload(self, sig, data):
        # A full disk costs the time to compile again in the next process, no more.
        extra("the cache", lambda: super(_Programs, self).save_overload(sig, data), lambda why: None)


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """Decorator that compiles a kernel with Numba: without the GIL, its program kept on disk.

    Programs that cannot be read any more, as those of an earlier version, are made anew.

    Args:
        options: More of ``numba.njit``.
    """

    def decorated(function: Callable) -> Any:
        try:
            kernel = njit(cache=True, nogil=True, **options)(function)
            kernel._cache = _Programs(function)
        except RuntimeError:  # no folder can be written
            kernel = njit(nogil=True, **options)(function)
        return kernel

    return decorated
