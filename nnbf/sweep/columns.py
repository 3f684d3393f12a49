"""The columns of a sweep's table, in order."""

from nnbf.report.energies import KINDS, REFERENCES

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
    "n_parameters",
    *SIZES,
    "status",
    "reason",
    "directory",
)
"""What a table says of each point beside its coordinates.

Energies are in the unit of the run (Hartree, or t), each kind with its error; `error_milli` is the energy
less that of the exact reference (FCI or ED), in thousandths of the unit.
"""

TIME_COLUMNS = ("directory", "wall_time_s", "process_s", "attempts")
"""What depends on the machine, and is therefore kept apart."""
