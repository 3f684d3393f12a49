"""Sweeps: a manifest describes a grid of runs, and each of its points becomes a run folder."""

from nnbf.sweep.folder import FINAL, PointState, SweepFolder, last_row, require_unchanged
from nnbf.sweep.local import run_locally
from nnbf.sweep.observer import SweepObserver
from nnbf.sweep.plan import SweepPlan, plan_sweep
from nnbf.sweep.points import Point, curves, neighbours
from nnbf.sweep.process import PointRun
from nnbf.sweep.slurm import PointJob, SlurmOptions, run_as_jobs
from nnbf.sweep.table import milli_error, write_tables
from nnbf.sweep.vocabulary import Option, Vocabulary
from nnbf.sweep.warm import StartWords, with_starts

__all__ = [
    "FINAL",
    "Option",
    "Point",
    "PointJob",
    "PointRun",
    "PointState",
    "SlurmOptions",
    "StartWords",
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
    "with_starts",
    "write_tables",
]
