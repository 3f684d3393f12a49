"""Sweeps: a manifest describes a grid of runs, and each of its points becomes a run folder."""

from nnbf.sweep.names import Option, Vocabulary
from nnbf.sweep.point_records import milli_error
from nnbf.sweep.point_runs import PointRun, SweepObserver, run_locally
from nnbf.sweep.points import Point, curves, neighbours
from nnbf.sweep.slurm import PointJob, SlurmOptions, run_as_jobs
from nnbf.sweep.sweep_folder import FINAL, PointState, SweepFolder, last_row, require_unchanged
from nnbf.sweep.sweep_plan import SweepPlan, plan_sweep, start_words, with_starts
from nnbf.sweep.table import write_tables

__all__ = [
    "FINAL",
    "Option",
    "Point",
    "PointJob",
    "PointRun",
    "PointState",
    "SlurmOptions",
    "SweepFolder",
    "SweepObserver",
    "SweepPlan",
    "Vocabulary",
    "curves",
    "last_row",
    "milli_error",
    "neighbours",
    "plan_sweep",
    "require_unchanged",
    "run_as_jobs",
    "run_locally",
    "start_words",
    "with_starts",
    "write_tables",
]
