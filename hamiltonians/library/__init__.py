"""Bundled geometries (.xyz, Angstrom); each file's comment line states charge, 2S and origin."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


def bundled_molecules() -> tuple[str, ...]:
    """Return the names of all bundled molecules, in alphabetical order."""
    return tuple(sorted(_files()))


def bundled_path(name: str) -> Path | None:
    """Return the .xyz file of a bundled molecule (any case), or None where there is none."""
    by_folded = {known.casefold(): path for known, path in _files().items()}
    return by_folded.get(name.casefold())


@cache
def _files() -> dict[str, Path]:
    return {path.stem: path for path in _FOLDER.glob("*.xyz")}
