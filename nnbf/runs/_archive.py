"""Arrays in a file that knows whether it is whole: an .npz archive followed by the digest of its bytes.

NumPy reads such a file like any other .npz (the few bytes after the archive do not matter to it).
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nnbf._io import write_atomically

_MARK = b"\nnnbf sha256 "
_TAIL = len(_MARK) + 64


class DamagedFileError(ValueError):
    """Raised for a file whose content is not what was written; the message says what is wrong."""


def write_archive(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and the digest, atomically.

    Raises:
        OSError: The file cannot be written; an earlier one is then unchanged.
    """
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    content = stream.getbuffer()
    digest = hashlib.sha256(content).hexdigest().encode()

    def write(file) -> None:
        file.write(content)
        file.write(_MARK + digest)

    write_atomically(path, write)


def read_archive(path: Path, *, digest_required: bool = True) -> dict[str, np.ndarray]:
    """Return the arrays that `write_archive` wrote.

    Args:
        path: The file.
        digest_required: Whether an archive without a digest is refused.

    Raises:
        DamagedFileError: The file is cut short, changed or of another kind.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    archive, mark, digest = content[:-_TAIL], content[-_TAIL:-64], content[-64:]
    if mark == _MARK:
        if hashlib.sha256(archive).hexdigest().encode() != digest:
            raise DamagedFileError("its content does not match its digest")
    elif digest_required:
        raise DamagedFileError("it is empty" if not content else "it is cut short, or no checkpoint")
    else:
        archive = content
    try:
        with np.load(io.BytesIO(archive), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, KeyError, EOFError, OSError, AttributeError, zipfile.BadZipFile) as error:
        raise DamagedFileError(f"it holds no arrays ({' '.join(str(error).split())[:100]})") from error
