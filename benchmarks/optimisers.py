"""Which optimiser reaches FCI soonest: Rayleigh-Gauss-Newton, SR with SPRING momentum, or Adam?

All start from the same network (the defaults of `nnbf molecule`, same seed) on the same determinants:
the whole symmetry sector of N2 or H2O in STO-3G, so that every energy is exact and only the optimiser
differs. Compilation is not in the times. SR and Adam run with several settings, since they have to be
tuned; Rayleigh-Gauss-Newton runs with its defaults.

    python benchmarks/optimisers.py --seconds 60
    python benchmarks/optimisers.py --plot-only          # draw the last result again
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netket as nk
import optax
from _measure import RESULTS, label_error_panels, machine_line, provenance, read_json, write_json

import nnbf
from hamiltonians import build_molecule, irrep_bits
from nnbf._text import markdown_table as table
from nnbf.drivers import Growth, SelectedSpaceDriver, make_model
from nnbf.states import symmetry_sector

SETTINGS: dict[str, dict[str, Any]] = {
    "Rayleigh-Gauss-Newton": {"default": nnbf.RayleighGaussNewton()},
    "SR with SPRING": {
        "default (rate 0.3, shift 1e-4, momentum 0.5)": nnbf.StochasticReconfiguration(),
        "rate 0.3, shift 1e-3, momentum 0.5, steps to 0.3": nnbf.StochasticReconfiguration(
            diag_shift=1e-3, max_step=0.3
        ),
        "rate 0.1, shift 1e-4, momentum 0.9": nnbf.StochasticReconfiguration(learning_rate=0.1, momentum=0.9),
    },
    "Adam": {
        "default (rate 1e-3)": nnbf.FirstOrder(),
        "rate 3e-4": nnbf.FirstOrder(optax.adam(3e-4)),
        "rate 3e-3": nnbf.FirstOrder(optax.adam(3e-3)),
    },
}
"""Optimiser -> setting -> what the driver takes."""

LEVELS = (1.6, 0.1, 0.01)
"""Errors (mHa) whose first crossing is tabulated; 1.6 is chemical accuracy."""


def main() -> int:
    """Run everything, write the numbers, draw the curves, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", nargs="+", default=["N2", "H2O"])
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of every run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "optimisers.json", help="JSON; PNG beside it")
    parser.add_argument("--plot-only", action="store_true", help="draw what the JSON file has")
    options = parser.parse_args()
    if options.plot_only:
        content = read_json(options.out)
    else:
        content = {"provenance": provenance(), "seconds": options.seconds, "seed": options.seed, "curves": []}
        for name in options.molecules:
            content["curves"] += curves_of(name, options)
            write_json(options.out, content)
    draw(content, options.out.with_suffix(".png"))
    text = f"{machine_line(content['provenance'])}\n\n{summary(content)}\n"
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten: {options.out}, and .png, .md beside it")
    return 0


def curves_of(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Error against steps and time of all optimisers for one molecule."""
    system = build_molecule(name, options.basis)
    hamiltonian = nnbf.MolecularHamiltonian(system.integrals)
    model = make_model(system, nnbf.SolverOptions())
    exact = system.references["fci"]
    if exact is None:
        raise SystemExit(f"{name}/{options.basis}: FCI is not computed for it, so there is no error to plot")
    sector = symmetry_sector(nnbf.SpaceState(hamiltonian, model), irrep_bits(system.integrals), 20_000)
    if sector is None:
        raise SystemExit(f"{name}/{options.basis}: more than 20,000 determinants; give a smaller molecule")
    found = []
    for optimiser, settings in SETTINGS.items():
        for label, method in settings.items():
            state = nnbf.SpaceState(hamiltonian, model, space=sector, seed=options.seed)
            run(state, method, exact, seconds=None, steps=2)  # compiles
            state = nnbf.SpaceState(hamiltonian, model, space=sector, seed=options.seed)
            times, errors = run(state, method, exact, seconds=options.seconds, steps=1_000_000)
            found.append(
                {
                    "molecule": name,
                    "basis": options.basis,
                    "optimiser": optimiser,
                    "setting": label,
                    "n_determinants": len(sector),
                    "n_parameters": state.n_parameters,
                    "n_steps": len(errors),
                    "seconds": times[-1],
                    "best_mHa": min(errors),
                    "crossings": {str(level): first_below(level, times, errors) for level in LEVELS},
                    "curve": thinned(times, errors),
                }
            )
            print(
                f"{name}: {optimiser}, {label}: {min(errors):.4f} mHa, {len(errors)} steps in "
                f"{times[-1]:.1f} s",
                flush=True,
            )
    return found


def run(
    state: Any, method: Any, exact: float, *, seconds: float | None, steps: int
) -> tuple[list[float], list[float]]:
    """Optimise on the determinants of the state.

    Returns:
        Seconds at the end of every step, and the error (mHa) at its start.
    """
    size = len(state.determinants)
    driver = SelectedSpaceDriver(
        state, optimizer=method, growth=Growth(first_size=size, max_size=size), energy_tolerance=1e-9
    )
    watch = _Watch(exact, seconds)
    driver.run(steps, out=(), callback=(watch,), show_progress=False)
    return watch.times, watch.errors


def first_below(level: float, times: Sequence[float], errors: Sequence[float]) -> tuple[int, float] | None:
    """Steps and seconds to the first error below a level (mHa), None where there is none."""
    for steps, (time_s, error) in enumerate(zip(times, errors, strict=True)):
        if error < level:
            return steps, time_s
    return None


def thinned(times: Sequence[float], errors: Sequence[float]) -> list[tuple[int, float, float]]:
    """Rows (step, seconds, error in mHa): all of the first hundred steps, then 3 % apart."""
    rows, following = [], 1.0
    for step, (time_s, error) in enumerate(zip(times, errors, strict=True), start=1):
        if step >= following:
            rows.append((step, round(time_s, 4), float(f"{error:.5g}")))
            following = step + max(1.0, 0.03 * (step - 70))
    return rows


class _Watch(nk.callbacks.AbstractCallback, mutable=True):
    """Records errors, and ends a run in time."""

    exact: float
    seconds: float | None
    started: float
    times: Any
    errors: Any

    def __init__(self, exact: float, seconds: float | None):
        self.exact, self.seconds = exact, seconds
        self.times, self.errors = [], []
        self.started = time.perf_counter()

    def on_step_end(self, step, log_data, driver):
        """Note the energy that the step started from, and the time at its end."""
        self.times.append(time.perf_counter() - self.started)
        self.errors.append(1e3 * (driver.row["energy"] - self.exact))
        if self.seconds is not None and self.times[-1] > self.seconds:
            raise nk.callbacks.RunFinished("time_limit")


def summary(content: Mapping[str, Any]) -> str:
    """When each setting first came below the levels, as Markdown."""
    heads = ["molecule", "optimiser", "setting", "ms a step", "best (mHa)"]
    heads += [f"to {level} mHa: steps, s" for level in LEVELS]
    rows = []
    for curve in content["curves"]:
        crossings = [curve["crossings"][str(level)] for level in LEVELS]
        rows.append(
            [
                curve["molecule"],
                curve["optimiser"],
                curve["setting"],
                f"{1e3 * curve['seconds'] / curve['n_steps']:.1f}",
                f"{curve['best_mHa']:.5f}",
                *("" if found is None else f"{found[0]}, {found[1]:.2f}" for found in crossings),
            ]
        )
    return table(heads, rows, numbers=(3, 4, 5, 6, 7))


def draw(content: Mapping[str, Any], path: Path) -> None:
    """Error against steps (left) and seconds (right), one row of panels a molecule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    molecules = list(dict.fromkeys(curve["molecule"] for curve in content["curves"]))
    colours = dict(zip(SETTINGS, ("#1f5fa8", "#c2571a", "#3a7d44"), strict=True))
    figure, panels = pyplot.subplots(
        len(molecules),
        2,
        figsize=(10, 3.6 * len(molecules)),
        squeeze=False,
        sharey="row",
        layout="constrained",
    )
    for (left, right), molecule in zip(panels, molecules, strict=True):
        curves = [curve for curve in content["curves"] if curve["molecule"] == molecule]
        best = {}
        for curve in curves:
            known = best.get(curve["optimiser"])
            if known is None or merit(curve) < merit(known):
                best[curve["optimiser"]] = curve
        for curve in curves:
            chosen = best[curve["optimiser"]] is curve
            style = {
                "color": colours[curve["optimiser"]],
                "linewidth": 2.0 if chosen else 0.8,
                "alpha": 1.0 if chosen else 0.45,
                "label": f"{curve['optimiser']}: {curve['setting']}" if chosen else None,
            }
            steps, times, errors = zip(*curve["curve"], strict=True)
            left.plot(steps, errors, **style)
            right.plot(times, errors, **style)
        title = f"{molecule}/{curves[0]['basis']}, {curves[0]['n_determinants']} determinants"
        label_error_panels(left, right, ("steps", "seconds, compilation left out"), title)
        edge = right.get_yaxis_transform()
        right.text(0.99, 2.0, "chemical accuracy", color="0.45", fontsize=8, ha="right", transform=edge)
        left.set_ylim(1e-5, 1e5)  # below, what is left is the error of the reference
        left.legend(fontsize=7.5, loc="upper right", title="thin: other settings", title_fontsize=7.5)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def merit(curve: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds to 0.01 mHa, then the best error: the smaller, the better the setting."""
    crossing = curve["crossings"]["0.01"]
    return (float("inf") if crossing is None else crossing[1], curve["best_mHa"])


if __name__ == "__main__":
    sys.exit(main())
