"""The columns of a sweep's table, in order."""

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
