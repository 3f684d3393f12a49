"""The figures that belong to a run, whatever its kind: which there are, and as files and parts of a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hamiltonians.errors import one_line
from nnbf.report.reading import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A figure that has not been drawn yet."""

    name: str
    """Name of its file, without suffix."""
    section: str
    """Part of the page that it belongs to."""
    description: str
    """Content in words."""
    draw: "Callable[[], Figure]"
    """Makes the figure."""


@dataclass(frozen=True)
class DrawnPlot:
    """A figure, or the reason why there is none."""

    plot: Plot
    """Name, place and description."""
    svg: str = ""
    """The figure inside a page."""
    png: bytes = b""
    """The figure as a file."""
    problem: str = ""
    """Reason why it could not be drawn, in one line."""


def run_plots(run: RunRecord) -> list[Plot]:
    """Return the figures that the files of a run allow."""
    from nnbf.report import figures, lattice_figures, spectral_figure

    title, found = run.title, run.result.get("observables") or {}
    plots = []
    if figures.has_history(run) or not run.history:
        words = f"Energies of {title} against steps and time"
        plots.append(Plot("energy", "", words, partial(figures.draw_history, run)))
    if len(run.levels) > 1:
        levels = partial(lattice_figures.draw_levels, run.levels, run.unit)
        plots.append(Plot("spectrum", "Levels", f"Levels of {title} by momentum", levels))
    if run.command == "charge" and run.result.get("momenta"):
        spectral = partial(spectral_figure.draw_spectral, run.result, run.result.get("exact"))
        plots.append(Plot("spectral_function", "Excitations", f"Spectral function of {title}", spectral))
    if figures.has_extrapolation(run):
        words = "Energies at the end of every stage against second-order correction and variance, with fits"
        plots.append(Plot("extrapolation", "Extrapolation", words, partial(figures.draw_extrapolations, run)))
    kept = [found[name] for name in ("density", "spin") if found.get(name) is not None]
    if kept:
        correlations = partial(lattice_figures.draw_correlations, *kept)
        plots.append(Plot("correlations", "Observables", "Correlations against distance", correlations))
    for name in ("density", "spin"):
        if (factor := found.get(f"{name}_structure")) is not None:
            words = f"Structure factor of the {name} over the Brillouin zone"
            draw = partial(lattice_figures.draw_structure_factor, factor)
            plots.append(Plot(f"{name}_structure_factor", "Observables", words, draw))
    return plots


def drawn(plots: Sequence[Plot], prefix: str, *, files: bool) -> list[DrawnPlot]:
    """Draw figures; one that cannot be drawn costs no more than itself.

    Args:
        plots: The figures.
        prefix: Begin of the ids in the page.
        files: Draw PNG files, too.
    """
    return [_drawn(plot, f"{prefix}-{plot.name}", files=files) for plot in plots]


def _drawn(plot: Plot, prefix: str, *, files: bool) -> DrawnPlot:
    try:
        from nnbf.report.style import png, svg

        figure = plot.draw()
        return DrawnPlot(plot, svg(figure, plot.description, prefix), png(figure) if files else b"")
    except Exception as error:  # Matplotlib and the files of other versions raise whatever they like
        name = plot.name.replace("_", " ")
        return DrawnPlot(plot, problem=f"no picture of {name}: {type(error).__name__}: {one_line(error)}")
