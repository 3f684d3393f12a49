"""A sweep as jobs of a cluster, through submitit: each point is one job of an array."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge

from hamiltonians.errors import InputError, one_line
from nnbf._options import Checked
from nnbf._processes import VARIABLE
from nnbf.sweep.point_runs import PointRun, SweepObserver
from nnbf.sweep.points import Point
from nnbf.sweep.sweep_folder import PointState, SweepFolder
from nnbf.sweep.sweep_plan import SweepPlan
from nnbf.sweep.table import tables_kept

_SAVING = 80.0  # seconds that a point has for saving itself, out of the 90 that Slurm warns ahead
_WARNED = 120.0  # seconds between a SIGTERM of Slurm and the signal before the end, at most
_LOCKED = 5.0  # seconds between two looks at a point that another process holds
_ALWAYS = 1000  # a job may run into its time limit and be queued again this often


@dataclass(frozen=True)
class SlurmOptions(Checked):
    """Jobs of a cluster instead of processes here; needs submitit."""

    slurm: bool = False
    """Submit the points as an array of Slurm jobs, and follow them."""
    slurm_executor: Literal["slurm", "local", "debug"] = "slurm"
    """Executor of submitit: on Slurm, as processes here, or one after the other inside this process."""
    slurm_partition: str | None = None
    """Partition."""
    slurm_time: Annotated[int, Ge(1)] = 240
    """Minutes that a job gets; one that is not done by then is queued again and goes on."""
    slurm_cpus: Annotated[int, Ge(1)] = 4
    """CPUs of a job."""
    slurm_gpus: Annotated[int, Ge(0)] = 0
    """GPUs of a job."""
    slurm_nodes: Annotated[int, Ge(1)] = 1
    """Nodes of a job, whose devices compute together, with a process on each."""
    slurm_memory: Annotated[int, Ge(1)] | None = None
    """Memory of a job in GB; left out: what the cluster gives."""
    slurm_parallel: Annotated[int, Ge(1)] = 32
    """Most jobs at a time."""
    slurm_options: str = ""
    """Further options of sbatch, such as "account=abc,qos=long"."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        self.sbatch()
        if self.slurm_nodes > 1 and self.slurm_executor != "slurm":
            raise InputError(f"slurm_nodes is for executor slurm, not {self.slurm_executor}: leave it out")
        for item in () if self.slurm else fields(self):
            if getattr(self, item.name) != item.default:
                raise InputError(f"{item.name} is for jobs of a cluster: give slurm, or leave it out")

    def sbatch(self) -> dict[str, str]:
        """Return `slurm_options` as pairs.

        Raises:
            InputError: They are not understood.
        """
        pairs = [part.partition("=") for part in self.slurm_options.split(",") if part.strip()]
        if not all(name.strip() and value.strip() for name, _, value in pairs):
            raise InputError(
                f"slurm_options {self.slurm_options!r} is not understood: give name=value,name=value"
            )
        return {name.strip().lstrip("-").replace("-", "_"): value.strip() for name, _, value in pairs}


@dataclass
class PointJob:
    """Work of a job: one point, until it is done, fails or is interrupted."""

    folder: SweepFolder
    """The folder of the sweep, seen by all machines."""
    point: Point
    """The point."""
    program: tuple[str, ...]
    """Command that runs `nnbf`."""
    nodes: int = 1
    """Nodes of the job: this runs on each of them."""
    _run: PointRun | None = field(default=None, repr=False)

    def __call__(self) -> str:
        """Work on the point, and return its status."""
        if self.nodes > 1 and _node() > 0:
            return self._followed()
        # The variable, empty, lets the queue say which processes compute together.
        together = {VARIABLE: ""} if self.nodes > 1 else None
        while (begun := PointRun.begin(self.folder, self.point, self.program, environment=together)) is None:
            time.sleep(_LOCKED)
        if isinstance(begun, PointState):
            return begun.status
        self._run = begun
        try:
            while (state := begun.poll()) is None:
                time.sleep(0.1)
            if begun.interrupted:
                # Slurm's SIGTERM reaches all processes of a job; the signal that queues it again follows.
                time.sleep(_WARNED)
        except BaseException:
            begun.interrupt()
            begun.finish()
            raise
        return state.status

    def _followed(self) -> str:
        """On the other nodes: compute what the first one says."""
        if not self.folder.state(self.point).done:
            words = [*self.program, "resume", str(self.folder.run(self.point))]
            subprocess.run(words, env={**os.environ, VARIABLE: ""}, check=False)
        return self.folder.state(self.point).status

    def checkpoint(self) -> Any:
        """Stop the point, which saves itself, and return what goes on with it.

        submitit calls this from a signal handler, before the time is up or the job makes room for another.
        """
        from submitit.helpers import DelayedSubmission

        run, self._run = self._run, None
        if run is not None:
            run.stop()
            run.wait_in_handler(_SAVING)
        return DelayedSubmission(PointJob(self.folder, self.point, self.program, self.nodes))


def run_as_jobs(
    plan: SweepPlan,
    program: Sequence[str],
    options: SlurmOptions,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    observer: SweepObserver | None = None,
    poll: float = 1.0,
) -> tuple[dict[str, PointState], list[str]]:
    """Submit all chosen points that are not done, and follow them to their ends.

    Args:
        plan: The sweep.
        program: What runs `nnbf`.
        options: Resources of a job.
        should_stop: Asked now and then; true ends the following: jobs on Slurm stay where they are, those
            of the other executors are cancelled.
        observer: Told what happens.
        poll: Seconds between two looks at the jobs.

    Returns:
        The state of every chosen point, by name; and the jobs that are still there.

    Raises:
        InputError: submitit or Slurm is missing, or does not take the options.
        OSError: The folder of the sweep cannot be written.
    """
    folder = plan.folder
    open_points = [point for point in plan.chosen if not folder.state(point).done]
    if any(point.after is not None for point in open_points):
        raise InputError(
            "jobs of a cluster run side by side, and points with a warm start one after the other: turn "
            "warm_start off, or run the sweep with several workers inside of one job"
        )
    executor = _executor(folder, options, plan.name)
    with tables_kept(plan) as update:
        works = [PointJob(folder, point, tuple(program), options.slurm_nodes) for point in open_points]
        jobs = dict(zip((point.name for point in open_points), _submitted(executor, works), strict=True))
        waiting = {point.name: point for point in open_points}
        try:
            _follow(folder, waiting, jobs, observer or SweepObserver(), update, should_stop, poll)
        finally:
            if options.slurm_executor != "slurm":
                for name in waiting:
                    jobs[name].cancel(check=False)
                waiting.clear()
    states = {point.name: folder.state(point) for point in plan.chosen}
    return states, [str(jobs[name].job_id) for name in waiting]


def _follow(
    folder: SweepFolder,
    waiting: dict[str, Point],
    jobs: Mapping[str, Any],
    observer: SweepObserver,
    update_tables: Callable[[], None],
    should_stop: Callable[[], bool],
    poll: float,
) -> None:
    """Tell of jobs that begin and end, and take those that are over from `waiting`."""
    attempts = {name: folder.record(point).get("attempts", 0) for name, point in waiting.items()}
    while waiting and not should_stop():
        for name, point in list(waiting.items()):
            before, attempts[name] = attempts[name], folder.record(point).get("attempts", 0)
            if attempts[name] > before:
                observer.started(point, resumed=attempts[name] > 1)
            if jobs[name].done():
                del waiting[name]
                observer.ended(point, _ended(folder, point, jobs[name]))
                update_tables()
            if should_stop():
                break
        observer.running([])
        if waiting:
            time.sleep(poll)


def _node() -> int:
    """Number of this task among those of its job."""
    from submitit import JobEnvironment

    return int(JobEnvironment().global_rank)


def _executor(folder: SweepFolder, options: SlurmOptions, name: str) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            "jobs of a cluster need submitit, which is not installed: pip install 'nnbf[slurm]'"
        ) from error
    try:
        executor = submitit.AutoExecutor(
            folder=folder.jobs / "%j", cluster=options.slurm_executor, slurm_max_num_timeout=_ALWAYS
        )
        executor.update_parameters(
            name=name,
            timeout_min=options.slurm_time,
            cpus_per_task=options.slurm_cpus,
            gpus_per_node=options.slurm_gpus or None,
            **({"nodes": options.slurm_nodes, "tasks_per_node": 1} if options.slurm_nodes > 1 else {}),
            mem_gb=options.slurm_memory,
            slurm_partition=options.slurm_partition,
            slurm_array_parallelism=options.slurm_parallel,
            slurm_additional_parameters=options.sbatch(),
        )
    except (RuntimeError, ValueError, NameError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"submitit refuses ({one_line(error)}): is Slurm here? To do without, give slurm_executor local"
        ) from error
    return executor


def _submitted(executor: Any, works: Sequence[PointJob]) -> list[Any]:
    try:
        return [] if not works else executor.submit_array(works)
    except Exception as error:  # submitit has its own classes for what sbatch says
        raise InputError(f"the jobs were not taken: {one_line(error)}") from error


def _ended(folder: SweepFolder, point: Point, job: Any) -> PointState:
    """Return the state of a point whose job is over, also of one that died without a word."""
    state = folder.state(point)
    if state.status in ("missing", "unfinished"):
        folder.write_record(point, failure=f"job {job.job_id} ended ({job.state}) before the point was done")
        state = folder.state(point)
    return state
