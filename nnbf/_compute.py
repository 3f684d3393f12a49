"""Where amplitudes, connections and linear systems are computed: by compiled kernels of the host, or in JAX.

Kernels of the host know CPUs only; programs of JAX run on a CPU, too, and keep their arrays on the device.
All that is computed asks here.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Compute = Literal["auto", "host", "device"]
Passes = Literal["double", "single"]


@dataclass(frozen=True)
class _Choice:
    compute: Compute = "auto"
    passes: Passes = "double"


_DEFAULT = _Choice()
_CHOICE: ContextVar[_Choice] = ContextVar("compute", default=_DEFAULT)


@contextlib.contextmanager
def computing(compute: Compute = "auto", passes: Passes = "double") -> Iterator[None]:
    """Compute inside as the options of the same names say."""
    token = _CHOICE.set(_Choice(compute, passes))
    try:
        yield
    finally:
        _CHOICE.reset(token)


def on_device() -> bool:
    """True where programs of JAX compute, with arrays on the device: on accelerators, or if asked to."""
    import jax

    compute = _CHOICE.get().compute
    return compute == "device" or (compute == "auto" and jax.default_backend() != "cpu")


def single_passes() -> bool:
    """True where passes of networks without derivatives are in single precision: on the device alone."""
    return _CHOICE.get().passes == "single" and on_device()
