"""Saved systems: one .npz or .h5 file with integrals, description, references, properties bit by bit.

Of (pq|rs) only what is unique is kept (the lower triangle of the pair matrix, all of it for the ab
block), and of that only the elements that are not zero, with a bit mask saying which these are.
"""

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hamiltonians.errors import InputError, one_line
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.properties import OrbitalProperties
from hamiltonians.molecule.system import MolecularSystem, SystemInfo
from hamiltonians.molecule.truncation import Truncation
from hamiltonians.packing import number_of_pairs

FORMAT = "molecular-system"
VERSION = 1

_SUFFIXES = (".npz", ".h5", ".hdf5")
_PROPERTIES = ("dipole", "dipole_constant", "dipole_origin", "overlap_alpha_beta", "coefficients")


def save_system(system: MolecularSystem, path: str | Path) -> Path:
    """Write `system` to `path` (.npz or .h5); a reader never sees half a file.

    Returns:
        The path written.

    Raises:
        InputError: The suffix is unknown, or the folder cannot be written.
    """
    target = Path(path)
    if target.suffix.casefold() not in _SUFFIXES:
        raise InputError(f"cannot save a system as {target.name!r}: end the name in .npz or .h5")
    arrays = _to_arrays(system)
    write = _write_npz if target.suffix.casefold() == ".npz" else _write_h5
    return _write_atomically(target, lambda temporary: write(temporary, arrays))


def write_text_atomically(path: Path, text: str) -> Path:
    """Write a text file so that a reader never sees half of it.

    Raises:
        InputError: The folder cannot be written.
    """
    return _write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def load_system(path: str | Path) -> MolecularSystem:
    """Read a file that `save_system` wrote.

    Raises:
        InputError: There is no such file, or it is damaged or of another kind.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"there is no system file {source}: give a .npz or .h5 written by save()")
    try:
        with source.open("rb") as stream:
            is_zip = stream.read(2) == b"PK"
        arrays = _read_npz(source) if is_zip else _read_h5(source)
        return _from_arrays(arrays)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError) as error:
        raise _damaged(source, error) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise _damaged(source, error) from error


def _damaged(source: Path, error: Exception) -> InputError:
    return InputError(
        f"{source} is not a readable system file ({one_line(error)[:120]}): "
        "build the system again, or give another copy"
    )


def _to_arrays(system: MolecularSystem) -> dict[str, np.ndarray]:
    integrals = system.integrals
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "n_alpha": integrals.n_alpha,
        "n_beta": integrals.n_beta,
        "orbital_irreps": integrals.orbital_irreps,
        "point_group": integrals.point_group,
        "reference_occupation": integrals.reference_occupation,
        "info": asdict(system.info),
        "references": dict(system.references),
        "reference_notes": dict(system.reference_notes),
        "truncation": None if system.truncation is None else system.truncation.arguments(),
    }
    arrays = {
        "metadata": np.frombuffer(json.dumps(metadata).encode(), dtype=np.uint8),
        "constant": np.array(integrals.constant),
        "one_body": integrals.one_body,
    }
    if integrals.is_spin_resolved:
        blocks = dict(zip(("aa", "ab", "bb"), integrals.two_body, strict=True))
    else:
        blocks = {"restricted": integrals.two_body}
    for name, block in blocks.items():
        unique = block.ravel() if name == "ab" else block[np.tril_indices(block.shape[0])]
        # Positive and negative zero differ bit by bit; both are stored by value where needed.
        stored = (unique != 0.0) | np.signbit(unique)
        arrays[f"two_body_{name}_mask"] = np.packbits(stored)
        arrays[f"two_body_{name}_values"] = unique[stored]
    for name in _PROPERTIES:
        value = getattr(system.properties, name, None)
        if value is not None:
            arrays[name] = value
    return arrays


def _from_arrays(arrays: dict[str, np.ndarray]) -> MolecularSystem:
    if "metadata" not in arrays:
        raise InputError("this is not a saved molecular system: give a file written by save()")
    metadata = json.loads(bytes(arrays["metadata"]).decode())
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"this holds a {metadata.get('format', 'thing of unknown kind')!r}, not a molecular system"
        )
    if metadata["version"] > VERSION:
        raise InputError(
            f"file format {metadata['version']} is newer than this program reads ({VERSION}): update it"
        )
    one_body = arrays["one_body"]
    pairs = number_of_pairs(one_body.shape[-1])
    if one_body.ndim == 2:
        two_body = _expand(arrays, "restricted", pairs)
    else:
        two_body = np.stack([_expand(arrays, name, pairs) for name in ("aa", "ab", "bb")])
    two_body.flags.writeable = False
    irreps = metadata["orbital_irreps"]
    alpha, beta = metadata["reference_occupation"]
    integrals = MolecularIntegrals(
        constant=float(arrays["constant"]),
        one_body=one_body,
        two_body=two_body,
        n_alpha=metadata["n_alpha"],
        n_beta=metadata["n_beta"],
        orbital_irreps=None if irreps is None else tuple(irreps),
        point_group=metadata["point_group"],
        reference_occupation=(tuple(alpha), tuple(beta)),
    )
    # Files of earlier versions have none of these.
    known = {name: arrays[name] for name in _PROPERTIES if name in arrays}
    truncation = metadata.get("truncation")
    return MolecularSystem(
        integrals,
        _info(metadata["info"]),
        metadata["references"],
        metadata["reference_notes"],
        OrbitalProperties(**known) if known else None,
        None if truncation is None else Truncation.from_arguments(truncation),
    )


def _expand(arrays: dict[str, np.ndarray], name: str, pairs: int) -> np.ndarray:
    count = pairs * pairs if name == "ab" else number_of_pairs(pairs)
    stored = np.unpackbits(arrays[f"two_body_{name}_mask"], count=count).astype(bool)
    unique = np.zeros(count)
    unique[stored] = arrays[f"two_body_{name}_values"]
    if name == "ab":
        return unique.reshape(pairs, pairs)
    block = np.empty((pairs, pairs))
    rows, columns = np.tril_indices(pairs)
    block[rows, columns] = unique
    block[columns, rows] = unique
    return block


def _info(fields: dict) -> SystemInfo:
    known = {name: value for name, value in fields.items() if name in SystemInfo.__dataclass_fields__}
    known["atoms"] = tuple((symbol, tuple(position)) for symbol, position in known["atoms"])
    known["ecp"] = tuple((element, name) for element, name in known["ecp"])
    known["warnings"] = tuple(known["warnings"])
    if known["active_space"] is not None:
        known["active_space"] = tuple(known["active_space"])
    return SystemInfo(**known)


def _write_atomically(target: Path, write: Callable[[Path], object]) -> Path:
    try:
        _replace_atomically(target, write)
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or one_line(error)}; give a writable folder"
        ) from error
    return target


def _replace_atomically(target: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private
        _flush_to_disk(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # some network file systems cannot open a folder
        _flush_to_disk(target.parent)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    # Opened here: NumPy leaves its own file open where the archive is damaged.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _write_h5(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            checked = {"fletcher32": True} if array.size and array.ndim else {}
            file.create_dataset(name, data=array, **checked)


def _read_h5(path: Path) -> dict[str, np.ndarray]:
    import h5py

    with h5py.File(path, "r") as file:
        return {name: dataset[()] for name, dataset in file.items()}
