"""Modules of users that register problems, networks and methods.

The user alone says which are loaded: by an import, by `load_plugin`, by the variable `NNBF_PLUGINS`, or by
installing a package with an entry point. Files of runs hold names, and nothing in them is executed.
"""

import importlib.util
import os
import sys
import zlib
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from hamiltonians.errors import InputError, one_line

VARIABLE = "NNBF_PLUGINS"
"""Environment variable with files or modules, separated as in PATH."""
GROUP = "nnbf.plugins"
"""Entry points of installed packages that are loaded when a name is not known."""

_seen: set[str] = set()


def load_plugin(given: str) -> None:
    """Import a file that ends in .py, or a module by its name.

    Raises:
        InputError: There is none, or its import fails.
    """
    path = Path(given).expanduser().resolve()
    try:
        if not given.endswith(".py"):
            import_module(given)
        elif not any(getattr(known, "__file__", None) == str(path) for known in [*sys.modules.values()]):
            _import_file(path)
    except Exception as error:  # whatever a file of the user's may raise
        raise InputError(f"plug-in {given} cannot be loaded: {one_line(error)}") from error


def _import_file(path: Path) -> None:
    # A name of its own: a file called "jax.py" must not hide jax. Pickling needs the module to be known.
    name = f"nnbf_plugin_{path.stem}"
    if name in sys.modules:  # another file of that name
        name += f"_{zlib.crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def load_plugins() -> None:
    """Load, once each, what the variable names and what installed packages offer.

    Raises:
        InputError: One cannot be loaded.
    """
    named = [word for word in os.environ.get(VARIABLE, "").split(os.pathsep) if word]
    for word in [*named, *(point.value.partition(":")[0] for point in entry_points(group=GROUP))]:
        if word not in _seen:
            load_plugin(word)
            _seen.add(word)


def registered[T](name: object, known: Mapping[str, T], kind: str) -> T:
    """Return an entry of a registry, after loading plug-ins where it is not known yet.

    Args:
        name: What a file or a user names.
        known: The registry.
        kind: What its entries are, such as "kind of network".

    Raises:
        InputError: Nothing of that name is registered.
    """
    if isinstance(name, str) and name not in known:
        load_plugins()
    if not isinstance(name, str) or name not in known:
        raise InputError(
            f"unknown {kind} {name!r}, not one of {', '.join(sorted(known))}: give plugin the file that "
            f"registers it, or name that in {VARIABLE}"
        )
    return known[name]
