"""The end of a run on the screen, and the command `nnbf report`."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, one_line
from nnbf._text import setting, value_with_error
from nnbf.cli.console import Progress, clock, say_warning
from nnbf.cli.main import DONE, typed_line
from nnbf.cli.parsing import parse_command

_EXAMPLES = (
    "nnbf report runs/demo",
    "nnbf report runs/n2_curve",
    "nnbf report runs/tv4 runs/n2_* --out n2_report",
)


@dataclass(frozen=True)
class ReportTarget:
    """What to report on."""

    folders: tuple[str, ...]
    """Run folders in any state, and folders of sweeps."""


@dataclass(frozen=True)
class ReportOutput:
    """Where the report goes."""

    out: str | None = None
    """Folder of the report over several runs; left out: "report" in the sweep, or beside the runs."""
    quiet: bool = False
    """Print nothing."""


@dataclass(frozen=True)
class ReportCommand:
    """Write the report of a run into its folder again, or one report over several runs and sweeps.

    That one is a page, with tables for papers (Markdown, LaTeX), VarBench rows and JSON records beside it.
    """

    target: ReportTarget
    """What to report on."""
    output: ReportOutput = field(default_factory=ReportOutput)
    """Where the report goes."""


def report(arguments: Sequence[str]) -> int:
    """Run `nnbf report` and return its exit code."""
    command = parse_command(ReportCommand, arguments, prog="nnbf report", examples=_EXAMPLES)
    folders, out, quiet = command.target.folders, command.output.out, command.output.quiet
    if len(folders) == 1 and out is None and not (Path(folders[0]).expanduser() / "sweep.json").is_file():
        return _one(folders[0], quiet=quiet)
    from nnbf.report import write_collection
    from nnbf.report.sources import left_out

    written = write_collection(folders, out=out)
    if written.left_out:
        say_warning(f"left out: {left_out(written.left_out)}")
    if not quiet:
        unreadable = f", {written.n_unreadable} of them with nothing to read" if written.n_unreadable else ""
        print(f"{written.n_runs} runs{unreadable}")
        print(f"page      {written.page}\ntables    {written.markdown}, {written.latex.name}")
        print(f"varbench  {written.varbench}\nrecords   {written.records}")
    return DONE


def _one(folder: str, *, quiet: bool) -> int:
    """Write the report of one run into its folder, and print its tables where it has ended."""
    from nnbf.runs.schema import load_result

    lines = written_report(folder)
    if quiet:
        return DONE
    if (Path(folder).expanduser() / "result.json").is_file():
        where = f"run folder  {folder}{os.sep}"
        _show(load_result(folder), Progress(), [where, *lines])
    else:
        print("\n".join(lines))
    return DONE


def conclude(
    folder: str | Path,
    progress: Progress,
    *,
    result: Mapping[str, Any] | None = None,
    facts: Sequence[str] = (),
) -> None:
    """Print tables and notes of a run, after its report was written.

    Args:
        folder: The run folder.
        progress: Prints, and has printed some of the warnings.
        result: Content of its result.json, of a run that has not ended what that would be.
        facts: Further lines.
    """
    from nnbf.runs.schema import load_config, load_result, upgraded_result

    if result is None:
        result = load_result(folder)
    elif "levels" not in result:
        result = upgraded_result(result, load_config(folder))
    lines: list[str] = []
    try:
        lines = written_report(folder)
    except (ImportError, InputError, OSError) as error:  # the result is safe: say so, and go on
        say_warning(f"no report was written ({one_line(error)}): try 'nnbf report {folder}'")
    _show(result, progress, [*facts, f"run folder  {folder}{os.sep}", *lines])


def _show(result: Mapping[str, Any], progress: Progress, lines: Sequence[str]) -> None:
    """Print warnings and tables of a result, with further lines below."""
    from nnbf.report.tables import result_tables

    for warning in result["warnings"]:
        progress.warn(warning)
    if result.get("energy") is None:
        say_warning("stopped before the first level was done")
        return
    progress.tables(result_tables(result), [*_notes(result, progress.spelt), *lines])


def written_report(folder: str | Path) -> list[str]:
    """Write the report of one run into its folder, and return lines that say where it is.

    Raises:
        InputError: The folder holds no run, or cannot be written.
    """
    from nnbf.report import read_run, write_report

    path, program = shlex.quote(str(folder)), typed_line()
    steps = {
        "Go on where it stopped": f"{program} resume {path}",
        "Sample the trained state": f"{program} evaluate {path}",
        "Make this page again": f"{program} report {path}",
    }
    run = read_run(folder)
    if run.result.get("status") == "converged":
        del steps["Go on where it stopped"]
    written = write_report(run, next_steps=steps)
    for problem in written.problems:
        say_warning(problem)
    return [*(f"plot        {picture}" for picture in written.pictures), f"page        {written.page}"]


def _notes(result: Mapping[str, Any], spelt: Callable[[str], str]) -> list[str]:
    """Return what belongs to the tables: references, sizes, quality, observables, and how the run ended."""
    from nnbf.report.energies import best_reference, missing_references, truncation_lines

    notes = []
    best = best_reference(result.get("references") or {})
    if best is not None and not best.is_exact:
        notes.append(f"differences are to {best.label}, the best reference here, which is not exact")
    notes += [f"{name}: not computed ({why})" for name, why in missing_references(result)]
    notes += truncation_lines(result)
    sizes = {"|V|": "n_determinants", "|C|": "n_connected", "parameters": "n_parameters"}
    notes.append("  ".join(f"{name} {result[key]:,}" for name, key in sizes.items() if result.get(key)))
    quality = {"variance": ("variance", ".2e"), "V-score": ("v_score", ".2e"), "<S^2>": ("s_squared", ".4f")}
    notes.append(
        "  ".join(f"{name} {result[k]:{f}}" for name, (k, f) in quality.items() if result.get(k) is not None)
    )
    notes.append("  ".join(_observables(result.get("observables") or {})))
    message = result.get("message")
    ended = spelt(message) if message else setting(result["status"]).replace("_", " ")
    wanted = result.get("n_levels_wanted")
    levels = f", {len(result['levels'])} of {wanted} levels" if wanted is not None else ""
    notes.append(
        f"{result.get('n_steps')} steps in {clock(result.get('wall_time_s') or 0.0)}: {ended}{levels}"
    )
    return [note for note in notes if note]


def _observables(found: Mapping[str, Any]) -> list[str]:
    """Return the few observables that the screen shows; the page has them all."""
    shown = []
    dipole, ratio = found.get("dipole_debye"), found.get("inverse_participation_ratio")
    if dipole is not None:
        shown.append(f"dipole {value_with_error(dipole['norm'], dipole['norm_error'], digits=4)} debye")
    if ratio is not None:
        shown.append(f"IPR {value_with_error(ratio['value'], ratio['error'], digits=4)}")
    # Occupations far from 0 and 2 tell how strongly the state is correlated.
    occupied = (found.get("natural_occupations") or {}).get("value") or ()
    active = [n for n in occupied if 0.02 < n < 1.98]
    if active:
        shown.append("natural occupations " + " ".join(f"{n:.3f}" for n in active[:8]))
    symmetry = found.get("symmetry") or {}
    for name, weight in (symmetry.get("irreps") or {}).items():
        if weight["value"] > 5e-4:
            shown.append(f"weight of {name} {value_with_error(weight['value'], weight['error'], digits=4)}")
    for name, key in {"pairs/site": "double_occupancy", "correlation ratio": "correlation_ratio"}.items():
        if found.get(key) is not None:
            shown.append(f"{name} {value_with_error(found[key]['value'], found[key]['error'], digits=4)}")
    return shown
