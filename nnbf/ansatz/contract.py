"""Attributes that a wave function may have beside ``__call__``, so that others can make use of them.

Any Flax module from occupations (..., modes) to log psi (...,) is a wave function. One that says more is
summed and sampled faster:

``spin_flip_parity``
    1 or -1 where psi of a configuration and of its spin flip are the same, or the opposite, whatever the
    parameters; None, or no such attribute, where they are not related.
``is_real``
    True where psi is real up to a factor that is the same for all configurations.
``per_sample``
    True where the network is fastest on a few configurations at a time, with derivatives one by one, as with
    convolutions and sums over symmetry. Dense networks are evaluated on many at once, and their derivatives
    are known in factors.
``n_passes``
    Passes of the network for one amplitude, where there are several: how much fits into a cache.
"""

from typing import Any


def spin_flip_parity(model: Any) -> int | None:
    """Sign of psi under spin flip, 1 or -1, where a model declares one."""
    return getattr(model, "spin_flip_parity", None)


def is_real(model: Any, default: bool = False) -> bool:
    """True where a model declares its wave function real; the default for one that declares nothing."""
    return bool(getattr(model, "is_real", default))


def per_sample(model: Any) -> bool:
    """True for a model that is best evaluated on few configurations at a time."""
    return bool(getattr(model, "per_sample", False))


def n_passes(model: Any) -> int:
    """Passes of the network for one amplitude; 1 where a model declares none."""
    return int(getattr(model, "n_passes", 1))
