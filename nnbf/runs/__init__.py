"""Run folders: solve a problem and leave behind everything that is needed to judge and repeat it."""

from nnbf.runs.checkpoint import Checkpoint, CheckpointStore, load_checkpoint, save_checkpoint
from nnbf.runs.directory import RunDirectory, default_folder, require_free
from nnbf.runs.job import Job, LatticeLimits, Limits, SpectrumLimits
from nnbf.runs.prepared_start import PreparedStart, prepare_start
from nnbf.runs.process import StopRequest
from nnbf.runs.run import Resumption, plan_resumption, resume_run, run_job, run_molecule, run_system
from nnbf.runs.session import CompletedRun, RunError

__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "CompletedRun",
    "Job",
    "LatticeLimits",
    "Limits",
    "PreparedStart",
    "Resumption",
    "RunDirectory",
    "RunError",
    "SpectrumLimits",
    "StopRequest",
    "default_folder",
    "load_checkpoint",
    "plan_resumption",
    "prepare_start",
    "require_free",
    "resume_run",
    "run_job",
    "run_molecule",
    "run_system",
    "save_checkpoint",
]
