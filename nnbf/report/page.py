"""The page and the Markdown file of one run: the same for molecules and lattices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from nnbf import _text
from nnbf._text import Table
from nnbf.report import run_tables
from nnbf.report.collection_tables import difference, status_cell
from nnbf.report.energies import bound_words, missing_references, truncation_lines
from nnbf.report.method import code_reference, sector_words, settings
from nnbf.report.plots import DrawnPlot
from nnbf.report.summary import Summary

if TYPE_CHECKING:
    from jinja2 import Environment

_LONGEST = 400  # characters of a value
_SECTIONS = ("Energies", "Levels", "Charge gap", "Excitations", "Extrapolation", "Observables", "Stages")


@dataclass(frozen=True)
class Section:
    """A part of the page of a run."""

    title: str
    """Heading."""
    tables: tuple[Table, ...]
    """Tables, in order."""
    notes: tuple[str, ...]
    """Remarks below them, one line each."""
    plots: tuple[DrawnPlot, ...]
    """Figures."""


@dataclass(frozen=True)
class RunView:
    """Content of the page of a run, without its form."""

    summary: Summary
    """The run in numbers."""
    subtitle: str
    """Sizes of the system, in words."""
    sentence: str
    """Kind of the headline energy, and its distance to the best reference."""
    problem: str
    """Reason why it failed, or what is damaged."""
    warnings: tuple[str, ...]
    """Warnings, one line each."""
    tiles: tuple[tuple[str, str], ...]
    """Small facts: name and value."""
    history: tuple[DrawnPlot, ...]
    """Figures that stand above all sections."""
    sections: tuple[Section, ...]
    """Parts with tables and figures; empty ones are left out."""
    details: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Lists of names and values that unfold, with their titles."""
    geometry: str
    """Atoms in angstrom, one line each."""
    command_line: str
    """Command that made the run."""
    provenance: str
    """Begin, seed and program, in words."""
    next_steps: tuple[tuple[str, str], ...]
    """What can be done next: words and command."""

    @property
    def headline(self) -> str:
        """The energy with its error; nothing without one."""
        energy = self.summary.energy
        return "" if energy is None else _text.value_with_error(energy.value, energy.error)


def run_view(
    summary: Summary, plots: Sequence[DrawnPlot] = (), next_steps: Mapping[str, str] | None = None
) -> RunView:
    """Return the content of the page of a run.

    Args:
        summary: The run.
        plots: Its figures.
        next_steps: Commands that go on with it or evaluate it, by what they do.
    """
    run, result, config = summary.run, summary.run.result, summary.run.config
    started = [f"started {config['created']}"] if config.get("created") else []
    seed = result.get("seed", config.get("seed"))
    origin = [*started, f"seed {seed}", code_reference(run), summary.method]
    return RunView(
        summary=summary,
        subtitle=_subtitle(run.system),
        sentence=_sentence(summary),
        problem=summary.entry.reason,
        warnings=tuple(map(str, result.get("warnings") or ())),
        tiles=tuple((name, value) for name, value in _tiles(summary) if value),
        history=tuple(plot for plot in plots if not plot.plot.section),
        sections=tuple(_sections(summary, plots)),
        details=tuple((title, found) for title, pairs in _details(summary) if (found := tuple(pairs))),
        geometry=_geometry(run.system),
        command_line=str(config.get("command_line") or ""),
        provenance=", ".join(origin),
        next_steps=tuple((next_steps or {}).items()),
    )


def run_page(view: RunView) -> str:
    """Return the page of one run as HTML."""
    return environment().get_template("run.html").render(view=view, title=view.summary.system)


def run_markdown(view: RunView, pictures: Iterable[str] = ()) -> str:
    """Return the report of one run as Markdown.

    Args:
        view: Its content.
        pictures: Names of picture files beside the text.
    """
    summary = view.summary
    lines = [f"# {_plain(summary.system)}", ""]
    lines += [f"> **Warning:** {_plain(text)}\n" for text in view.warnings]
    if view.problem:
        lines += [f"> **The run failed:** {_plain(view.problem)}\n"]
    if summary.energy is not None:
        lines += [f"{view.headline} {summary.unit}: {_plain(view.sentence)}", ""]
    for section in view.sections:
        lines += [f"## {section.title}", ""]
        for table in section.tables:
            lines += [table.markdown(), ""]
        lines += [f"{_plain(note)}\n" for note in section.notes]
    facts = [("status", summary.entry.status), *view.tiles]
    lines += [f"* {name}: {_plain(value)}" for name, value in facts]
    if view.command_line:
        lines.append(f"* command: `{view.command_line.replace('`', chr(39))}`")
    lines += ["", *(f"![{name}]({name})" for name in pictures), ""]
    return "\n".join(lines)


@cache
def environment() -> "Environment":
    """Return the templates, which escape whatever they are given."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    folder = files("nnbf.report") / "templates"

    def load(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    made = Environment(
        loader=FunctionLoader(load), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(
        style=Markup(load("page.css")), script=Markup(load("page.js")), status_cell=status_cell
    )
    made.filters.update(
        table=lambda table: Markup(table.html()),
        sortable=lambda table, name: Markup(table.html(name, sortable=True)),
        svg=lambda plot: Markup(plot.svg),
        minus=lambda text: text.replace("-", _text.MINUS),
    )
    return made


def _plain(text: str) -> str:
    """Text of a user as one line that is no markup."""
    return " ".join(text.split()).replace("<", "&lt;").replace("`", "'")


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


def _sentence(summary: Summary) -> str:
    energy = summary.energy
    if energy is None:
        return ""
    failed = summary.entry.status == "failed"
    words = "Last energy before the run failed, of" if failed else "Energy of"
    levels = len(summary.run.levels)
    what = f"the lowest of {levels} levels, of" if levels > 1 and not failed else ""
    text = f"{words} {what} kind “{summary.kind}”, {bound_words(energy.kind)} of the ground state"
    if summary.reference is not None:
        text += f"; {difference(summary)} to {summary.reference.label}"
        text += "" if summary.is_exact else ", the best reference here, which is not exact"
    return " ".join(f"{text}.".split(" ")).replace("  ", " ")


def _tiles(summary: Summary) -> list[tuple[str, str]]:
    result, hot = summary.run.result, summary.infinite_temperature.energy
    spin = result.get("s_squared")
    in_sector = result.get("n_determinants") is None
    return [
        ("states of the sector" if in_sector else "|V|, determinants", _text.count(summary.states)),
        ("|C|, connected", _text.count(result.get("n_connected"))),
        ("parameters", _text.count(result.get("n_parameters"))),
        ("variance", _text.small(summary.variance)),
        ("V-score", _text.small(summary.v_score)),
        ("E∞", "" if hot is None else f"{hot:.6f}"),
        ("particles", _text.count(summary.dof)),
        ("⟨S²⟩", "" if spin is None else f"{abs(spin):.4f}"),
        ("sector", sector_words(result.get("sector"))),
        ("levels", _text.count(len(summary.run.levels)) if len(summary.run.levels) > 1 else ""),
        ("steps", _text.count(result.get("n_steps"))),
        ("time", _text.duration(summary.seconds)),
    ]


def _sections(summary: Summary, plots: Sequence[DrawnPlot]) -> Iterable[Section]:
    run, result = summary.run, summary.run.result
    notes = [f"{name} was not computed: {why}." for name, why in missing_references(result)]
    notes += [f"{line}." for line in truncation_lines(result)]
    content: dict[str, list[Table]] = {
        "Energies": [run_tables.energies_table(result, run.references)],
        "Levels": [run_tables.levels_table(run.levels, run.unit)] if len(run.levels) > 1 else [],
        "Charge gap": [run_tables.gap_table(result)],
        "Excitations": [run_tables.excitations_table(result)],
        "Extrapolation": [],
        "Observables": [run_tables.observables_table(result), run_tables.determinants_table(result)],
        "Stages": [run_tables.stages_table(run)],
    }
    for title in _SECTIONS:
        found = tuple(table for table in content[title] if table.rows)
        figures = tuple(plot for plot in plots if plot.plot.section == title)
        below = tuple(notes) if title == "Energies" else ()
        if found or figures or below:
            yield Section(title, found, below, figures)


def _details(summary: Summary) -> Iterable[tuple[str, Iterable[tuple[str, str]]]]:
    run, config = summary.run, summary.run.config
    limits = {**_object(config.get("sectors")), **_object(config.get("limits"))}
    versions = {**_object(run.result.get("versions")), **_object(config.get("hardware"))}
    git = _object(config.get("git"))
    if git:
        versions["git commit"] = f"{git.get('commit')}{', with changes' if git.get('modified') else ''}"
    yield "System", _pairs(run.system, skip=("atoms",))
    yield "Problem", _pairs(_object(config.get("problem")))
    yield "Sectors and limits", _pairs(limits)
    yield "Options of the solver", _pairs(settings(run))
    yield "Evaluation", _pairs(run.evaluation, skip=("rounds", "points", "versions", "extrapolations"))
    yield "Checks of the density matrices", run_tables.density_checks(run.result).items()
    yield "Versions and hardware", _pairs(versions)


def _pairs(content: Mapping[str, Any], skip: Sequence[str] = ()) -> Iterable[tuple[str, str]]:
    for key, value in content.items():
        if key not in skip:
            text = _text.setting(value)
            yield str(key), text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (all in the run folder)"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _geometry(system: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{symbol:<2} {x:14.8f} {y:14.8f} {z:14.8f}" for symbol, (x, y, z) in system.get("atoms") or ()
    )
