"""The checkpoints of a run: written whole or not at all, the last two kept, checked before they are used."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnbf._io import sync_folder
from nnbf.runs._archive import DamagedFileError, read_archive, write_archive
from nnbf.runs._nested import flatten_nested, unflatten_nested

KEPT = 2
"""Checkpoints that are kept."""

_NAME = re.compile(r"state-(\d{6,})\.npz")


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder of checkpoints holds."""

    snapshot: dict[str, Any] | None
    """The newest snapshot that is whole and belongs to the run, or None."""
    file: Path | None
    """Its file."""
    problems: tuple[str, ...]
    """One line for every newer file that is damaged or of another run."""


class CheckpointStore:
    """A folder of numbered files, each a snapshot: nested dictionaries of arrays, numbers and text.

    Example:
        >>> store = CheckpointStore(folder, run="a7")  # doctest: +SKIP
        >>> store.save({"step": 3, "weights": np.ones(2)})  # doctest: +SKIP
        >>> store.load().snapshot["step"]  # doctest: +SKIP
        3
    """

    def __init__(self, folder: Path, run: str | None = None) -> None:
        """Use a folder, which need not exist yet.

        Args:
            folder: Where the files are.
            run: Name of the run that they belong to; files with another name in them are not used.
        """
        self.folder = folder
        self._run = run
        self._useless: set[Path] = set()

    def files(self) -> list[Path]:
        """Return the files, oldest first."""
        if not self.folder.is_dir():
            return []
        matches = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        numbered = [(int(match.group(1)), path) for match, path in matches if match]
        return [path for _, path in sorted(numbered)]

    def save(self, snapshot: Mapping[str, Any]) -> Path:
        """Write a snapshot as the newest file, then remove all but the last two that are of use.

        Raises:
            OSError: It cannot be written; the files before are unchanged.
            TypeError: The snapshot holds something other than arrays, numbers and text.
        """
        if not self.folder.is_dir():
            self.folder.mkdir()
            sync_folder(self.folder.parent)
        files = self.files()
        number = int(_NAME.fullmatch(files[-1].name).group(1)) + 1 if files else 1  # type: ignore[union-attr]
        path = self.folder / f"state-{number:06}.npz"
        write_archive(path, flatten_nested({"run": self._run, "snapshot": snapshot}))
        # What `load` could not use must not push out what it could.
        useful = [file for file in files if file not in self._useless]
        for old in {*files, *self._useless} - {*useful[-KEPT + 1 :]}:
            with contextlib.suppress(OSError):  # one file too many does no harm
                old.unlink()
        self._useless.clear()
        return path

    def load(self) -> Found:
        """Return the newest snapshot that is whole."""
        problems: list[str] = []
        for path in reversed(self.files()):
            try:
                content = unflatten_nested(read_archive(path))
                if content["run"] != self._run:
                    raise DamagedFileError("it belongs to another run")
                return Found(content["snapshot"], path, tuple(problems))
            except (DamagedFileError, OSError, KeyError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                problems.append(f"the checkpoint {path} is not used: {reason}")
                self._useless.add(path)
        return Found(None, None, tuple(problems))
