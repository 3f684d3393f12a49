"""Attributes that a wave function may have beside ``__call__``, so that others can make use of them.

Any Flax module from occupations (..., modes) to log psi (...,) is a wave function. One that says more is
summed and sampled faster:

``spin_flip_parity``
    1 or -1 where psi of a configuration and of its spin flip are the same, or the opposite, whatever the
    parameters; None, or no such attribute, where they are not related.
``is_real``
    True where psi is real up to a factor that is the same for all configurations.
``n_passes``
    Passes of the network for one amplitude, where there are several: how much fits into a cache.
"""

from typing import Any


def spin_flip_parity(model: Any) -> int | None:
    """Sign of psi under spin flip, 1 or -1, where a model declares one."""
    return getattr(model, "spin_flip_parity", None)


def is_real(model: Any) -> bool:
    """True for a model that declares its wave function real."""
    return bool(getattr(model, "is_real", False))


def n_passes(model: Any) -> int:
    """Passes of the network for one amplitude; 1 where a model declares none."""
    return int(getattr(model, "n_passes", 1))
