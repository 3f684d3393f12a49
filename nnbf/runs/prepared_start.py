"""A run that starts from the trained state of another one: another geometry, with its orbitals aligned."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.errors import InputError
from nnbf.drivers.methods import make_options
from nnbf.runs.checkpoint import Checkpoint
from nnbf.runs.directory import RunDirectory
from nnbf.runs.schema import is_lattice, load_config
from nnbf.runs.trained import newest_parameters

if TYPE_CHECKING:
    from hamiltonians import Molecule

LEAST_OVERLAP = 0.5
"""Smallest singular value of the overlap of orbitals with which a start makes sense."""

_MAY_DIFFER = ("reference", "orbital_irreps", "noise")
"""Fields of a network that come from the orbitals, or matter for initial parameters alone."""


@dataclass(frozen=True, eq=False)
class PreparedStart:
    """What a run that starts from another one begins with."""

    system: "Molecule"
    """What is to be solved, in the orbitals of the other run where there is a start."""
    checkpoint: Checkpoint | None
    """Parameters and variational space; None where the orbitals do not match, and the start is cold."""
    record: dict[str, Any]
    """For config.json: folder, run, orbital_overlap, used."""

    @property
    def text(self) -> str:
        """One line on where the run starts."""
        overlap = self.record["orbital_overlap"]
        shown = "orbitals taken as they are" if overlap is None else f"overlap of orbitals {overlap:.4f}"
        used = "starting from" if self.record["used"] else "not starting from"
        return f"{used} {self.record['folder']} ({shown})"


def prepare_start(folder: str | Path, system: "Molecule", options: Any) -> PreparedStart:
    """Read the trained state of a run, and turn the orbitals of a system to those of that run.

    Where the orbitals have no counterparts there, nothing is taken over, and the system says so in its
    warnings. Where those of either are not known (FCIDUMP files), they are taken as they are.

    Args:
        folder: A run folder that has finished, or that has a checkpoint.
        system: What is to be solved.
        options: How, as the data class of the method's options.

    Raises:
        InputError: There is no trained state in the folder, or its network, electrons or orbitals are others.
    """
    from hamiltonians import align_orbitals

    directory = RunDirectory.open(folder)
    config = load_config(directory.path)
    if is_lattice(config) or not directory.system_file.is_file():
        raise InputError(f"{folder} is not the run of a molecule: give the folder of one as start_from")
    then = directory.read_system()
    found = newest_parameters(directory, config)
    _require_same_network(
        folder,
        found.network or _network(then, make_options(then.format, config.get("options"))),
        _network(system, options),
    )
    record = {
        "folder": str(folder),
        "run": config.get("run"),
        "step": found.step,
        "orbital_overlap": None,
        "used": True,
    }
    space = found.determinants
    # A run by Monte Carlo has a space at its end only.
    checkpoint = replace(found, determinants=np.zeros((0, 2), np.uint64) if space is None else space)
    if _unknown(then) or _unknown(system):
        note = f"orbitals cannot be compared with those of {folder}: they are taken as they are"
        return PreparedStart(_warned(system, note), checkpoint, record)
    try:
        alignment = align_orbitals(system, like=then)
    except InputError as error:
        raise InputError(f"{folder} is no start: {error}") from error
    record["orbital_overlap"] = alignment.overlap
    if alignment.overlap < LEAST_OVERLAP:
        note = (
            f"some orbital has no counterpart in {folder} (overlap {alignment.overlap:.2f}): "
            "the run begins from Hartree-Fock"
        )
        return PreparedStart(_warned(system, note), None, {**record, "used": False})
    return PreparedStart(alignment.system, checkpoint, record)


def _network(system: "Molecule", options: Any) -> dict[str, Any]:
    from nnbf.ansatz import ansatz_spec
    from nnbf.drivers import make_model

    return ansatz_spec(make_model(system, options))


def _require_same_network(folder: str | Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    for name in dict.fromkeys((*there, *here)):
        if name not in _MAY_DIFFER and there.get(name) != here.get(name):
            raise InputError(
                f"{folder} has {name.replace('_', '-')} {_shown(there.get(name))}, and this run "
                f"{_shown(here.get(name))}: a start needs the same number of orbitals and electrons, and the "
                "same network"
            )


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _unknown(system: "Molecule") -> bool:
    return system.properties is None or system.properties.coefficients is None


def _warned(system: "Molecule", note: str) -> "Molecule":
    info = replace(system.info, warnings=(*system.info.warnings, note))
    return replace(system, info=info)
