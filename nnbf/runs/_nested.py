"""Nested dictionaries of arrays and numbers as a flat set of arrays, and back, bit by bit."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

_TREE = "tree"
_ARRAY = "#array"


def flatten_nested(nested: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of `nested` by name, and the rest of it as JSON in the array "tree".

    Arrays with the same content are kept once. Tuples become lists.

    Raises:
        TypeError: There is something that is neither dictionary (with text as keys), list, array,
            number, text, boolean nor None.
    """
    arrays: dict[str, np.ndarray] = {}
    names: dict[tuple, str] = {}

    def array_reference(value: np.ndarray) -> dict[str, str]:
        key = (value.shape, value.dtype.str, hashlib.sha256(value.tobytes()).digest())
        if key not in names:
            names[key] = f"array_{len(names)}"
            arrays[names[key]] = value
        return {_ARRAY: names[key]}

    def encoded(value: Any, path: str) -> Any:
        if value is None or isinstance(value, bool | str | int | float):
            return value
        if isinstance(value, Mapping):
            wrong = [key for key in value if not isinstance(key, str) or key == _ARRAY]
            if wrong:
                raise TypeError(f"{path or 'the snapshot'} has the key {wrong[0]!r}: keys are text")
            return {key: encoded(item, f"{path}/{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [encoded(item, f"{path}/{index}") for index, item in enumerate(value)]
        if hasattr(value, "__array__"):
            array = np.asarray(value)
            if array.dtype.kind in "biufc":
                return array_reference(array)
        raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold")

    text = json.dumps(encoded(nested, ""))
    return {_TREE: np.frombuffer(text.encode(), dtype=np.uint8), **arrays}


def unflatten_nested(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what `flatten_nested` took.

    Raises:
        KeyError: An array is missing.
        ValueError: The array "tree" is no JSON.
    """

    def decoded(value: dict[str, Any]) -> Any:
        return arrays[value[_ARRAY]] if _ARRAY in value else value

    return json.loads(arrays[_TREE].tobytes(), object_hook=decoded)
