"""Names of run folders: made from what tells the points apart, the same at every expansion."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

_LONGEST_PART, _LONGEST = 40, 150


def digest(content: Any, length: int = 16) -> str:
    """Return a short digest of what JSON can hold."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def point_name(coordinates: Mapping[str, Any]) -> str:
    """Return a readable name such as "N2_cc-pvdz_seed0_r1.1".

    Text stands alone, numbers and switches behind the name of their coordinate. Where a part does not say all
    that there is (an inline geometry, say), a short digest is added, so that it depends on nothing but
    the point itself.
    """
    name = "_".join(_part(key.replace("_", "-"), value) for key, value in coordinates.items()) or "point"
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{digest(list(coordinates.items()), 8)}"


def _part(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return key if value else f"no-{key}"
    if isinstance(value, int | float):
        return f"{key}{value}"
    if isinstance(value, tuple | list):
        return key + "-".join(map(str, value))
    text = str(value)
    shown = PurePath(text).stem if text.endswith(".xyz") else text.replace("*", "s")
    shown = re.sub(r"[^A-Za-z0-9.+-]+", "-", shown).strip("-.")[:_LONGEST_PART].rstrip("-.")
    if shown == text or shown == text.replace("*", "s"):
        return shown
    return f"{shown}-{digest(text, 6)}" if shown else f"{key}-{digest(text, 6)}"
