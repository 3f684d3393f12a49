"""Networks by name: their fields as JSON in a file, and the same network made from them.

A network is stored as ``{"kind": name, field: value, ...}`` beside its parameters. A module takes part when
its class is registered::

    @register_ansatz("transformer")
    class Transformer(nn.Module): ...

Reading makes objects of registered classes alone; nothing else in a file is evaluated.
"""

import base64
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from netket.utils import HashableArray

from hamiltonians.errors import InputError
from hamiltonians.plugins import registered

_CLASSES: dict[str, Any] = {}
_FUNCTIONS: dict[str, Callable] = {
    name: getattr(nn, name) for name in ("celu", "elu", "gelu", "relu", "sigmoid", "silu", "softplus", "tanh")
}
_DTYPES = {name: getattr(jnp, name) for name in ("bfloat16", "float32", "float64", "complex64", "complex128")}
#: Kinds that are not classes.
_PLAIN = ("array", "dtype", "function", "hashable_array")
#: Fields that Flax adds to every module.
_OF_FLAX = ("parent", "name")


def register_ansatz[T: type](name: str) -> Callable[[T], T]:
    """Decorator that makes a Flax module, or a data class in its fields, storable under a name.

    Fields may be numbers, strings, None, tuples, arrays, NetKet's ``HashableArray``, types of parameters,
    functions (``register_function``) and registered classes.

    Args:
        name: Stored as ``kind``; never to be changed once there are files.

    Raises:
        ValueError: The name is taken, or reserved.
        TypeError: The class is no Flax module and no data class.
    """

    def registered_class(cls: T) -> T:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__name__} is no Flax module and no data class: it cannot be stored")
        known = _CLASSES.get(name)
        # A module that is imported again defines the same class once more.
        same = known is not None and (known.__module__, known.__qualname__) == (
            cls.__module__,
            cls.__qualname__,
        )
        if name in _PLAIN or (known is not None and not same):
            raise ValueError(f"the name {name!r} is taken")
        _CLASSES[name] = cls
        return cls

    return registered_class


def register_function[F: Callable](name: str, function: F) -> F:
    """Make a function (an activation) storable under a name.

    Raises:
        ValueError: Another function has the name.
    """
    if _FUNCTIONS.setdefault(name, function) is not function:
        raise ValueError(f"the function name {name!r} is taken")
    return function


def registered_networks() -> dict[str, Any]:
    """Registered Flax modules by name."""
    return {name: cls for name, cls in _CLASSES.items() if issubclass(cls, nn.Module)}


def ansatz_spec(module: nn.Module) -> dict[str, Any]:
    """A network as plain JSON values, all fields included.

    Raises:
        TypeError: Its class is not registered, or a field cannot be stored.
    """
    return _encoded(module, "the network")


def ansatz_from_spec(spec: Mapping[str, Any]) -> nn.Module:
    """The network of :func:`ansatz_spec`.

    Fields that are missing get the defaults of today.

    Raises:
        InputError: It is of an unknown kind, has unknown fields, or fields that do not fit.
    """
    module = _decoded(spec)
    if not isinstance(module, nn.Module):
        raise InputError(f"a stored network is of kind {spec.get('kind')!r}, which is no network")
    return module


def _encoded(value, where):
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_encoded(item, where) for item in value]
    if isinstance(value, HashableArray):
        return {"kind": "hashable_array", **_array_fields(np.asarray(value))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"kind": "array", **_array_fields(value)}
    for kind, cls in _CLASSES.items():
        if type(value) is cls:
            names = [field.name for field in dataclasses.fields(cls) if field.name not in _OF_FLAX]
            return {"kind": kind, **{n: _encoded(getattr(value, n), f"{kind}.{n}") for n in names}}
    for kind, table in (("function", _FUNCTIONS), ("dtype", _DTYPES)):
        for name, known in table.items():
            if value is known or (kind == "dtype" and _is_dtype(value) and jnp.dtype(value) == name):
                return {"kind": kind, "name": name}
    what = getattr(value, "__qualname__", type(value).__qualname__)
    raise TypeError(
        f"{where} cannot be stored: {what} is not registered (nnbf.ansatz.register_ansatz, register_function)"
    )


def _is_dtype(value):
    return isinstance(value, type | np.dtype) or hasattr(value, "dtype")


def _array_fields(array):
    if array.dtype.hasobject:
        raise TypeError("arrays of objects cannot be stored")
    # The type's character says nothing of the byte order: little endian on every machine.
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _decoded(value):
    if isinstance(value, list | tuple):
        return tuple(_decoded(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    fields = {name: field for name, field in value.items() if name != "kind"}
    if kind in ("array", "hashable_array"):
        array = _array(fields)
        return HashableArray(array) if kind == "hashable_array" else array
    if kind in ("function", "dtype"):
        table: Mapping[str, Any] = _FUNCTIONS if kind == "function" else _DTYPES
        if fields.get("name") not in table:
            raise InputError(f"a stored network has the unknown {kind} {fields.get('name')!r}")
        return table[fields["name"]]
    return _object(registered(kind, _CLASSES, "kind of network"), kind, fields)


def _object(cls, kind, fields):
    known = {field.name for field in dataclasses.fields(cls)} - set(_OF_FLAX)
    unknown = sorted(set(fields) - known)
    if unknown:
        raise InputError(f"a stored network of kind {kind!r} has the unknown fields {', '.join(unknown)}")
    try:
        return cls(**{name: _decoded(field) for name, field in fields.items()})
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"a stored network of kind {kind!r} has fields that do not fit: {error}") from None


def _array(fields):
    try:
        dtype = np.dtype(fields["dtype"]).newbyteorder("<")
        flat = np.frombuffer(base64.b64decode(fields["data"], validate=True), dtype)
        return flat.reshape(fields["shape"]).astype(dtype.newbyteorder("="))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"an array of a stored network cannot be read: {error}") from None
