"""Run folders: solve a problem and leave behind everything that is needed to judge and repeat it."""

from nnbf.rundir.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from nnbf.rundir.directory import RunDirectory, default_folder, require_free
from nnbf.rundir.problem import FileProblem, MoleculeProblem, Problem
from nnbf.rundir.run import CompletedRun, RunError, run_molecule, run_system
from nnbf.rundir.signals import StopRequest

__all__ = [
    "Checkpoint",
    "CompletedRun",
    "FileProblem",
    "MoleculeProblem",
    "Problem",
    "RunDirectory",
    "RunError",
    "StopRequest",
    "default_folder",
    "load_checkpoint",
    "require_free",
    "run_molecule",
    "run_system",
    "save_checkpoint",
]
