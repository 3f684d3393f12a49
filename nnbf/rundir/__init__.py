"""Run folders: solve a problem and leave behind everything that is needed to judge and repeat it."""

from nnbf.rundir.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from nnbf.rundir.directory import RunDirectory, default_folder, require_free
from nnbf.rundir.problem import FileProblem, MoleculeProblem, Problem
from nnbf.rundir.resume import Resumption, plan_resumption, resume_run
from nnbf.rundir.run import run_molecule, run_system
from nnbf.rundir.session import CompletedRun, RunError
from nnbf.rundir.signals import StopRequest
from nnbf.rundir.start import PreparedStart, prepare_start
from nnbf.rundir.store import CheckpointStore

__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "CompletedRun",
    "FileProblem",
    "MoleculeProblem",
    "PreparedStart",
    "Problem",
    "Resumption",
    "RunDirectory",
    "RunError",
    "StopRequest",
    "default_folder",
    "load_checkpoint",
    "plan_resumption",
    "prepare_start",
    "require_free",
    "resume_run",
    "run_molecule",
    "run_system",
    "save_checkpoint",
]
