"""A run as it is shown: steps while it works, then the table of energies, or what went wrong."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from nnbf.cli.console import say_error, say_warning
from nnbf.cli.main import DONE, FAILED

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.cli._progress import Progress
    from nnbf.runs import CompletedRun, RunDirectory


def shown_run(
    run: "Callable[..., CompletedRun]", system: "Molecule", progress: "Progress", *, quiet: bool
) -> int:
    """Run, show what happens, and return the exit code.

    Args:
        run: `run_system` or `resume_run`, with everything but `on_step`, `warn` and `stop` given.
        system: What is solved; its own warnings have been shown.
        progress: Shows the steps.
        quiet: Print only the final table.

    Raises:
        KeyboardInterrupt: On a second Ctrl-C.
    """
    from nnbf.runs import RunError, StopRequest

    shown = set(system.info.warnings)

    def warn(warning: str) -> None:
        shown.add(warning)
        say_warning(warning)

    stop = StopRequest(announce=progress.announce_stop)
    try:
        with progress.following(system):
            done = run(on_step=progress.step, warn=warn, stop=stop)
    except RunError as error:
        folder = error.directory.path
        say_error(f"the run failed: {error}; {error.remedy} (history and checkpoints are kept in {folder})")
        return FAILED
    for warning in done.result["warnings"]:
        if warning not in shown:
            say_warning(warning)
    _conclude(done.directory, done.result, quiet=quiet)
    return DONE


def _conclude(directory: "RunDirectory", result: dict, *, quiet: bool) -> None:
    from nnbf.cli._summary import print_summary

    written = None
    try:
        from nnbf.report import write_report

        written = write_report(directory.path)
    except (ImportError, OSError) as error:  # the result is safe: say so, and go on
        say_warning(f"no report was written ({error}): try 'nnbf report {directory.path}'")
    print_summary(directory.path, result, written, quiet=quiet)
