"""The names that manifests and tables know: options of one command, and columns of results."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hamiltonians.errors import InputError, nearest_names
from nnbf._options import Option
from nnbf.estimate import KINDS, REFERENCES

SIZES = ("n_orbitals", "n_electrons", "fci_dimension")
"""Of the system."""

RESULT_COLUMNS = (
    "energy",
    "energy_error",
    "energy_kind",
    *(column for kind in KINDS for column in (kind, f"{kind}_error")),
    *REFERENCES,
    "error_milli",
    "variance",
    "v_score",
    "s_squared",
    "dipole_debye",
    "n_determinants",
    "n_connected",
    "n_parameters",
    "n_steps",
    *SIZES,
    "started_from",
    "status",
    "reason",
    "directory",
)
"""Columns of the table beside the coordinates.

Energies are in the unit of the run (Hartree, or t), each kind with its error; `error_milli` is the energy
less that of the exact reference (FCI or ED), in thousandths of the unit.
"""

COST_COLUMNS = ("time_per_step_s", "time_to_accuracy_s", "peak_memory_mb", "memory_mb")
"""Costs of a run: seconds of a step on the final space, seconds until the energy was good enough; memory of
the process while it was solved, and how much of that solving has added (1e6 bytes)."""

TIME_COLUMNS = ("directory", "wall_time_s", "process_s", "attempts", *COST_COLUMNS)
"""Columns that depend on the machine, and are therefore kept apart."""


@dataclass(frozen=True)
class Vocabulary:
    """The options of one command."""

    command: str
    """Its word after `nnbf`."""
    options: Mapping[str, Option]
    """All that a point may be given, by name in Python."""

    def checked(self, name: str, value: Any, where: str) -> tuple[str, Any]:
        """Return the name of an option in Python and its value, converted.

        Args:
            name: As the manifest spells it.
            value: From the manifest.
            where: What to name in messages: "sweep.toml: base.seed".

        Raises:
            InputError: There is no such option, or the value has the wrong type.
        """
        option = self.options.get(name.replace("-", "_"))
        if option is None:
            raise unknown_key(where, name, self.options)
        try:
            return option.name, option.convert(value)
        except TypeError:
            raise InputError(f"{where} = {value!r} has the wrong type: give {option.wanted}") from None

    def checked_table(self, table: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return a table of options with their names in Python and values converted; see `checked`."""
        return dict(self.checked(name, value, f"{where}.{name}") for name, value in table.items())

    def words(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the command with these options as words, positional ones first."""
        given = [option for option in self.options.values() if option.name in options]
        words = [self.command]
        for option in sorted(given, key=lambda option: not option.required):
            words += option.words(options[option.name])
        return tuple(words)


def require_known(where: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that are unknown with either dash, and give the nearest known one.

    Raises:
        InputError: One is unknown.
    """
    for name in names:
        if name.replace("-", "_") not in known:
            raise unknown_key(where, name, known)


def unknown_key(where: str, name: str, known: Collection[str]) -> InputError:
    """Return the error for an unknown key, which names the nearest known one."""
    names = [key.replace("_", "-") for key in known]
    close = nearest_names(name.replace("_", "-"), names)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(names)[:12])}"
    return InputError(f"{where}: unknown key {name!r}: {hint}")
