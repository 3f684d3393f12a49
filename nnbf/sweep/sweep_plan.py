"""A sweep that is about to start or to go on."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hamiltonians.errors import InputError, nearest_names
from nnbf._io import write_atomically
from nnbf.sweep.expand import expand
from nnbf.sweep.manifest import Manifest, read_manifest
from nnbf.sweep.option_names import Vocabulary
from nnbf.sweep.point_lock import locked
from nnbf.sweep.points import Point
from nnbf.sweep.sweep_folder import SweepFolder
from nnbf.sweep.warm import warm_start_of, with_starts


@dataclass(frozen=True)
class SweepPlan:
    """Points of a sweep with the folder that they are made in."""

    manifest: Manifest
    """Manifest, as the user wrote it."""
    folder: SweepFolder
    """Folder of the sweep."""
    points: tuple[Point, ...]
    """All points: rows of the table."""
    chosen: tuple[Point, ...]
    """Those that are to be worked on."""

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.manifest.name

    @property
    def command(self) -> str:
        """Command of all points."""
        return self.manifest.vocabulary.command

    def begin(self) -> None:
        """Make the folder, with a copy of the manifest in it.

        Raises:
            InputError: It cannot be made.
            OSError: It cannot be written.
        """
        self.folder.make()
        text = self.manifest.path.read_bytes()
        with locked(self.folder.table_lock):
            write_atomically(self.folder.path / "manifest.toml", lambda stream: stream.write(text))


def plan_sweep(
    manifest: str | Path,
    vocabularies: Mapping[str, Vocabulary],
    *,
    out: str | Path | None = None,
    only: str | None = None,
    warm_start: bool | None = None,
) -> SweepPlan:
    """Read a manifest and expand it; nothing is written.

    Args:
        manifest: The file.
        vocabularies: Commands that a sweep can run.
        out: The folder of the sweep; by default runs/<name> under the current one.
        only: Pattern (with * and ?) of the names of the points to be worked on; by default all.
        warm_start: Whether points of a scan start from their neighbours; by default what the manifest says.

    Raises:
        InputError: Something in the manifest makes no sense, or no point matches.
    """
    content = read_manifest(manifest, vocabularies)
    begin = _begin(content, warm_start)
    points = expand(content)
    if begin is not None:
        points = with_starts(points, content.scan, begin)
    chosen = points
    if only is not None:
        chosen = tuple(point for point in points if fnmatch.fnmatchcase(point.name, only))
        if not chosen:
            names = [point.name for point in points]
            close = (nearest_names(only.strip("*"), names) or names)[0]
            raise InputError(f"only {only!r} matches none of the {len(points)} points, such as {close}")
    folder = Path("runs") / content.name if out is None else Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder as out")
    return SweepPlan(content, SweepFolder(folder), points, chosen)


def _begin(content: Manifest, wanted: bool | None) -> dict[str, float] | None:
    """Return where curves begin whose points start from their neighbours, or None."""
    given = warm_start_of(
        content.warm_start, content.scan, content.vocabulary.command, f"{content.path}: sweep.warm_start"
    )
    if wanted is None or wanted == (given is not None):
        return given
    return warm_start_of(wanted, content.scan, content.vocabulary.command, "warm_start")
