"""Finished runs: their ends on the screen, and the commands `nnbf report` and `nnbf evaluate`."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from hamiltonians.errors import extra
from nnbf._io import given_path
from nnbf._text import setting, typed, value_with_error
from nnbf.cli.console import Progress, clock, counted, say_error, say_warning
from nnbf.cli.main import DONE, FAILED, typed_line
from nnbf.cli.parsing import parse_command
from nnbf.evaluation.samples import EvaluationOptions

if TYPE_CHECKING:
    from nnbf.runs.evaluate_run import EvaluatedRun

_REPORT_EXAMPLES = (
    "nnbf report runs/demo",
    "nnbf report runs/n2_curve",
    "nnbf report runs/tv4 runs/n2_* --out n2_report",
)
_EVALUATE_EXAMPLES = (
    "nnbf evaluate runs/demo",
    "nnbf evaluate runs/demo --precision 1e-5 --time-limit 1800",
    "nnbf evaluate runs/demo --sampler metropolis --seed 1",
    "nnbf evaluate runs/tv_6x6_13 --precision 5e-4 --time-limit 3600",
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
    command = parse_command(ReportCommand, arguments, prog="nnbf report", examples=_REPORT_EXAMPLES)
    folders, out, quiet = command.target.folders, command.output.out, command.output.quiet
    if len(folders) == 1 and out is None and not (given_path(folders[0]) / "sweep.json").is_file():
        return _one(folders[0], quiet=quiet)
    from nnbf.report import write_collection
    from nnbf.report.sources import left_out

    written = write_collection(folders, out=out)
    if written.left_out:
        say_warning(f"left out: {left_out(written.left_out)}")
    if not quiet:
        unreadable = f", {written.n_unreadable} of them with nothing to read" if written.n_unreadable else ""
        print(f"{counted(written.n_runs, 'run')}{unreadable}")
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
    lines = extra(
        "the report",
        lambda: written_report(folder),
        lambda why: say_warning(f"the result is safe, but {why}: try {typed('report', folder)}"),
    )
    _show(result, progress, [*facts, f"run folder  {folder}{os.sep}", *(lines or ())])


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
        shown.append(
            f"dipole {value_with_error(dipole['norm'], dipole.get('norm_error') or 0.0, digits=4)} debye"
        )
    if ratio is not None:
        shown.append(f"IPR {value_with_error(ratio['value'], ratio.get('error') or 0.0, digits=4)}")
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


# ---- nnbf evaluate -------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluateTarget:
    """What to sample."""

    folder: str
    """Run folder; that of a run that was stopped will do."""


@dataclass(frozen=True)
class EvaluateOutput:
    """Devices, and what is printed."""

    devices: Annotated[int, Ge(1)] | None = None
    """Devices of this machine to sample with; left out: all GPUs, or the CPU as one."""
    quiet: bool = False
    """Print only the table."""


@dataclass(frozen=True)
class EvaluateCommand:
    """Sample the trained wave function of a run: its energy with an error bar, variance and V-score.

    Molecules: the determinants of largest amplitude are summed exactly, the rest is sampled; energies are in
    Hartree. Lattices: all is sampled; energies are in t. Samples are of a power of |psi| that makes the error
    small.
    """

    target: EvaluateTarget
    """What to sample."""
    evaluation: EvaluationOptions = field(default_factory=EvaluationOptions)
    """How far."""
    output: EvaluateOutput = field(default_factory=EvaluateOutput)
    """Devices, and what is printed."""


def evaluate(arguments: Sequence[str]) -> int:
    """Run `nnbf evaluate` and return its exit code."""
    command = parse_command(EvaluateCommand, arguments, prog="nnbf evaluate", examples=_EVALUATE_EXAMPLES)
    from nnbf._devices import use_devices
    from nnbf.runs.evaluate_run import evaluate_run
    from nnbf.runs.process import StopRequest

    use_devices(command.output.devices)
    shown = _Rounds(quiet=command.output.quiet, time_limit=command.evaluation.time_limit)
    stop = StopRequest(announce=shown.announce_stop)
    try:
        with stop, shown.following():
            done = evaluate_run(
                command.target.folder,
                command.evaluation,
                note=shown.note,
                on_round=shown.round,
                should_stop=stop,
            )
    except FloatingPointError as error:
        say_error(f"{error}: {typed('resume', command.target.folder)} goes on from the last checkpoint")
        return FAILED
    for warning in done.warnings:
        shown.warn(warning)
    facts = [*_of_level(done), *_facts(done), *_fits(done), *_measured(done)]
    conclude(done.directory.path, shown, result=done.result, facts=facts)
    return DONE


class _Rounds(Progress):
    """Rounds of samples as they come in."""

    def note(self, what: str) -> None:
        """Say what begins now."""
        self.show(f"{what} ...", now=True)

    def round(self, row: dict[str, Any]) -> None:
        """Show a round of samples."""
        parts = [
            f"round {row['round']}",
            f"E {value_with_error(row['energy'], row['error'])}",
            f"{row['n_samples']:,} samples",
        ]
        if "outside" in row:
            parts.append(f"weight outside {row['outside']:.1e}")
        if row["r_hat"] is not None:
            parts.append(f"R-hat {row['r_hat']:.3f}")
        if not self.console.is_terminal:
            parts.append(self.clock(row["time_s"]))
        self.show("  ".join(parts))

    def announce_stop(self, reason: str) -> None:
        """Say that a request to stop was heard."""
        self.say(f"{reason}: stopping after this round, then writing what there is (Ctrl-C again: at once)")


def _of_level(done: "EvaluatedRun") -> list[str]:
    level = done.level
    if level is None:
        return []
    compared = [f"sampled     {done.evaluation.energy}, state {done.record['state']}"]
    if level["kind"] != "vmc":
        compared.append(f"full sum {level['energy']:.6f}")
    if level["reference"] is not None:
        compared.append(f"exact {level['reference']:.6f}")
    return ["  ".join(compared)]


def _facts(done: "EvaluatedRun") -> list[str]:
    found = done.evaluation
    of_power = "" if found.power is None else f" of |psi|^{found.power:g}"
    worth = f"worth {found.n_effective:,.0f} of |psi|^2"
    distinct = f"{found.n_unique:,} distinct"
    if found.outside is None:
        counts = [f"{found.n_samples:,} samples{of_power} ({distinct}, {worth})"]
    else:
        counts = [
            f"{found.n_large:,} determinants summed exactly",
            f"{found.n_samples:,} samples{of_power} ({distinct}, weight outside {found.outside:.2e})",
        ]
    quality = [f"variance {value_with_error(found.variance.value, found.variance.error)}"]
    quality.append(f"V-score {found.v_score:.2e}")
    if found.energy.r_hat is not None:
        quality += [f"R-hat {found.energy.r_hat:.3f}", f"tau {found.energy.tau:.1f}"]
    quality.append("independent samples" if found.chains is None else f"acceptance {found.acceptance:.2f}")
    lines = ["  ".join(counts), "  ".join(quality)]
    if found.energy.error > 0 and found.outside is not None:
        lines.append(f"a plain average of E_loc would need {found.plain_samples:.1e} samples for this error")
    return lines


def _fits(done: "EvaluatedRun") -> list[str]:
    lines = []
    for name, fit in done.record["extrapolations"].items():
        title = {"pt2": "PT2", "variance": "variance"}[name]
        if "reason" in fit:
            lines.append(f"no {title} extrapolation: {fit['reason']}")
        else:
            energy = value_with_error(fit["energy"], fit["error"])
            lines.append(f"{title} extrapolation {energy} ({len(fit['x'])} points; no bound)")
    return lines


def _measured(done: "EvaluatedRun") -> list[str]:
    if done.observables is None:
        return []
    return [f"{row[0].text}  {row[1].text} {row[2].text}".rstrip() for row in done.observables.table().rows]
