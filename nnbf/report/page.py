"""The report of one run, the same for molecules and lattices: a page, Markdown and pictures in its folder."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, reason_of
from nnbf import _text
from nnbf._io import write_bytes
from nnbf.estimate import KINDS
from nnbf.report import response_tables, tables
from nnbf.report.energies import bound_words, missing_references, truncation_lines
from nnbf.report.reading import UNFIT, RunRecord, read_run, sector_words, unfit
from nnbf.report.sources import Entry, entry_of
from nnbf.report.style import DrawnPlot, Plot, drawn
from nnbf.report.term_tables import draw_terms, has_terms, states_table, terms_table

if TYPE_CHECKING:
    from jinja2 import Environment

_LONGEST = 400  # characters of a value


@dataclass(frozen=True)
class WrittenReport:
    """Paths of the report of a run."""

    page: Path
    """One HTML page with everything in it."""
    markdown: Path
    """The tables as Markdown."""
    pictures: tuple[Path, ...]
    """The figures as files."""
    problems: tuple[str, ...]
    """Figures that could not be made: one line each."""


def write_report(
    run: str | Path | RunRecord, *, next_steps: Mapping[str, str] | None = None
) -> WrittenReport:
    """Write report/ in a run folder, the same for every kind of run.

    Needs neither the solver nor PySCF: everything comes from the files of the folder. A figure that cannot
    be drawn or written costs no more than itself.

    Args:
        run: The run folder, of a molecule or a lattice, in any state; or its content.
        next_steps: Commands that go on with the run or evaluate it, by what they do, for the page.

    Raises:
        InputError: The folder holds no run, or cannot be written.
    """
    run = run if isinstance(run, RunRecord) else read_run(run)
    folder = run.path / "report"
    try:
        plots = drawn(run_plots(run), "plot", files=True)
        pictures = {f"{plot.plot.name}.png": plot.png for plot in plots if plot.png}
        view = run_view(entry_of(run), plots, next_steps)
        texts = {
            "index.html": render("run.html", view=view, title=run.title),
            "report.md": render("run.md", view=view, pictures=pictures),
        }
        if has_terms(run.levels):
            texts["levels.csv"] = states_table(run.levels).csv()
    except UNFIT as error:
        raise unfit(run.path, error) from error
    problems = [plot.problem for plot in plots if plot.problem]
    write_files(folder, texts)
    written = []
    for name, content in pictures.items():
        try:
            write_bytes(folder / name, content)
            written.append(folder / name)
        except OSError as error:
            problems.append(f"{name} could not be written: {reason_of(error)}")
    return WrittenReport(folder / "index.html", folder / "report.md", tuple(written), tuple(problems))


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write texts into a folder, which is made.

    Raises:
        InputError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_bytes(folder / name, text)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {reason_of(error)}; give a writable folder") from error


def render(template: str, **content: Any) -> str:
    """Return the text of a template, of HTML as safe markup: all that it is given is escaped."""
    from markupsafe import Markup

    text = _environment().get_template(template).render(**content)
    return text if template.endswith(".md") else Markup(text)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    folder = files("nnbf.report") / "templates"

    def load(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    made = Environment(
        loader=FunctionLoader(load), autoescape=lambda name: not (name or "").endswith(".md"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.globals.update(
        style=Markup(load("page.css")), script=Markup(load("page.js")), status_cell=tables.status_cell,
        kind_labels=KINDS,
    )  # fmt: skip
    made.filters.update(
        table=lambda table: Markup(table.html()),
        sortable=lambda table, name: Markup(table.html(name, sortable=True)),
        svg=lambda plot: Markup(plot.svg),
        minus=lambda text: text.replace("-", _text.MINUS),
        # Text of a user as one line of Markdown that is no markup.
        plain=lambda text: " ".join(str(text).split()).replace("<", "&lt;").replace("`", "'"),
    )
    return made


def run_view(
    entry: Entry, plots: Sequence[DrawnPlot] = (), next_steps: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the content of the page of a run that can be read, for the templates.

    Args:
        entry: The run.
        plots: Its figures.
        next_steps: Commands that go on with it or evaluate it, by what they do.
    """
    run = entry.run
    assert run is not None
    energy, config = run.energy, run.config
    started = [f"started {config['created']}"] if config.get("created") else []
    seed = run.result.get("seed", config.get("seed"))
    return {
        "entry": entry,
        "run": run,
        "headline": "" if energy is None else _text.value_with_error(energy.value, energy.error),
        "subtitle": _subtitle(run.system),
        "sentence": _sentence(entry, run),
        "tiles": [(name, value) for name, value in _tiles(run) if value],
        "history": [plot for plot in plots if not plot.plot.section],
        "sections": list(_sections(run, plots)),
        "details": [(title, found) for title, pairs in _details(run) if (found := list(pairs))],
        "command_line": str(config.get("command_line") or ""),
        "provenance": ", ".join([*started, f"seed {seed}", run.code, run.method]),
        "next_steps": next_steps or {},
    }


def run_plots(run: RunRecord) -> list[Plot]:
    """Return the figures that the files of a run allow."""
    from nnbf.report import figures, response_figures, state_figures

    title, found = run.title, run.result.get("observables") or {}
    plots: list[Plot] = []

    def add(name: str, section: str, words: str, draw: Callable, *content: Any) -> None:
        plots.append(Plot(name, section, words, partial(draw, *content)))

    if figures.has_history(run) or not run.history:
        add("energy", "", f"Energies of {title} against steps and time", figures.draw_history, run)
    levels = run.levels, run.unit
    if has_terms(run.levels):
        words = f"Levels of {title} by irrep and spin"
        add("levels", "Levels", words, draw_terms, *levels)
    elif len(run.levels) > 1:
        add("spectrum", "Levels", f"Levels of {title} by momentum", state_figures.draw_levels, *levels)
    if run.command == "charge" and run.result.get("momenta"):
        peaks, words = (run.result, run.result.get("exact")), f"Spectral function of {title}"
        add("spectral_function", "Excitations", words, state_figures.draw_spectral, *peaks)
    if figures.has_extrapolation(run):
        words = "Energies at the end of every stage against second-order correction and variance, with fits"
        add("extrapolation", "Extrapolation", words, figures.draw_extrapolations, run)
    for record in run.responses:
        for suffix, draw in response_figures.figures_of(record).items():
            words = f"{response_tables.title(record)} of {title}"
            add(f"response_{record['operator']}{suffix}", "Response", words, draw, record)
    kept = [found[name] for name in ("density", "spin") if found.get(name) is not None]
    if kept:
        words = "Correlations against distance"
        add("correlations", "Observables", words, state_figures.draw_correlations, *kept)
    for name in ("density", "spin"):
        if (factor := found.get(f"{name}_structure")) is not None:
            words = f"Structure factor of the {name} over the Brillouin zone"
            draw = state_figures.draw_structure_factor
            add(f"{name}_structure_factor", "Observables", words, draw, factor)
    return plots


def _subtitle(system: Mapping[str, Any]) -> str:
    parts = []
    if system.get("n_electrons") is not None:
        parts.append(f"{system['n_electrons']} electrons in {system.get('n_orbitals')} orbitals")
    for key, words in (("charge", "charge"), ("two_S", "2S =")):
        if system.get(key) is not None:
            parts.append(f"{words} {system[key]}")
    if system.get("point_group"):
        parts.append(str(system["point_group"]))
    if system.get("n_frozen_core"):
        parts.append(f"{system['n_frozen_core']} frozen orbitals")
    if system.get("fci_dimension"):
        parts.append(f"{_text.count(system['fci_dimension'])} determinants in all")
    if system.get("boundary"):
        parts.append(f"{system.get('geometry', '')} lattice, boundaries {_text.setting(system['boundary'])}")
    return ", ".join(parts)


def _sentence(entry: Entry, run: RunRecord) -> str:
    energy = run.energy
    if energy is None:
        return ""
    words = "Energy of"
    if entry.status == "failed":
        words = "Last energy before the run failed, of"
    elif len(run.levels) > 1:
        words += f" the lowest of {len(run.levels)} levels, of"
    text = f"{words} kind “{run.kind}”, {bound_words(energy.kind)} of the ground state"
    if run.reference is not None:
        text += f"; {tables.difference(run)} to {run.reference.label}"
        text += "" if run.has_exact else ", the best reference here, which is not exact"
    return f"{text}."


def _tiles(run: RunRecord) -> list[tuple[str, str]]:
    """Small facts: name and value."""
    result, hot = run.result, run.hamiltonian.infinite_temperature
    spin = result.get("s_squared")
    in_sector = result.get("n_determinants") is None
    return [
        ("states of the sector" if in_sector else "|V|, determinants", _text.count(run.states)),
        ("|C|, connected", _text.count(result.get("n_connected"))),
        ("parameters", _text.count(result.get("n_parameters"))),
        ("variance", _text.small(run.variance)),
        ("V-score", _text.small(run.v_score)),
        ("E∞", "" if hot is None else f"{hot:.6f}"),
        ("particles", _text.count(run.dof)),
        ("⟨S²⟩", "" if spin is None else f"{abs(spin):.4f}"),
        ("sector", sector_words(result.get("sector"))),
        ("levels", _text.count(len(run.levels)) if len(run.levels) > 1 else ""),
        ("steps", _text.count(result.get("n_steps"))),
        ("time", _text.duration(run.seconds)),
        ("configurations a second", _text.count(result.get("evaluations_per_s"))),
        ("of the roofline", _share_of_roofline(result)),
    ]


def _share_of_roofline(result: Mapping[str, Any]) -> str:
    """Rate of the steps as a share of what arithmetic and memory of the device allow, where that is known."""
    rate, limit = result.get("evaluations_per_s"), result["levels"][-1].get("roofline", {}).get("most_per_s")
    return f"{100 * rate / limit:.2g} %" if rate and limit else ""


def _sections(run: RunRecord, plots: Sequence[DrawnPlot]) -> Iterable[dict[str, Any]]:
    """Parts with tables, remarks and figures; empty ones are left out."""
    result = run.result
    notes = [f"{name} was not computed: {why}." for name, why in missing_references(result)]
    notes += [f"{line}." for line in truncation_lines(result)]
    sums = [
        f"{response_tables.title(record)}: {'; '.join(response_tables.sum_lines(record))}."
        for record in run.responses
    ]
    content = {
        "Energies": [tables.energies_table(result, run.references)],
        "Levels": _levels(run),
        "Charge gap": [tables.gap_table(result)],
        "Excitations": [tables.excitations_table(result)],
        "Extrapolation": [],
        "Response": [response_tables.peaks_table(record) for record in run.responses],
        "Observables": [tables.observables_table(result), tables.determinants_table(result)],
        "Stages": [tables.stages_table(run)],
    }
    for title, made in content.items():
        found = [table for table in made if table.rows]
        figures = [plot for plot in plots if plot.plot.section == title]
        below = {"Energies": notes, "Response": sums}.get(title, [])
        if found or figures or below:
            yield {"title": title, "tables": found, "notes": below, "plots": figures}


def _levels(run: RunRecord) -> list[_text.Table]:
    if has_terms(run.levels):
        return [terms_table(run.levels, run.unit)]
    return [tables.levels_table(run.levels, run.unit)] if len(run.levels) > 1 else []


def _details(run: RunRecord) -> Iterable[tuple[str, Iterable[tuple[str, str]]]]:
    """Lists of names and values that unfold, with their titles."""
    config = run.config
    limits = {**_object(config.get("sectors")), **_object(config.get("limits"))}
    versions = {**_object(run.result.get("versions")), **_object(config.get("hardware"))}
    placed = _object(run.result.get("devices"))
    if placed:
        versions["devices"] = (
            f"{placed.get('count')} x {placed.get('kind')}, processes: {placed.get('processes')}"
        )
    git = _object(config.get("git"))
    if git:
        versions["git commit"] = f"{git.get('commit')}{', with changes' if git.get('modified') else ''}"
    yield "System", _pairs(run.system, skip=("atoms",))
    yield "Problem", _pairs(_object(config.get("problem")))
    yield "Sectors and limits", _pairs(limits)
    yield "Options of the solver", _pairs(run.options)
    yield "Evaluation", _pairs(run.evaluation, skip=("rounds", "points", "versions", "extrapolations"))
    yield "Checks of the density matrices", tables.density_checks(run.result).items()
    yield "Versions and hardware", _pairs(versions)


def _pairs(content: Mapping[str, Any], skip: Sequence[str] = ()) -> Iterable[tuple[str, str]]:
    for key, value in content.items():
        if key not in skip:
            text = _text.setting(value)
            yield str(key), text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (all in the run folder)"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
