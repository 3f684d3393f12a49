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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netket as nk
import optax
from _measure import RESULTS, machine_line, provenance, read_json, write_json

import nnbf
from hamiltonians import build_molecule, irrep_bits
from nnbf.drivers import make_model
from nnbf.report.markdown import table
from nnbf.states import symmetry_sector

SETTINGS: dict[str, dict[str, Any]] = {
    "Rayleigh-Gauss-Newton": {"default": nnbf.RayleighGaussNewton()},
    "SR with SPRING": {
        "default (rate 0.3, shift 1e-4, momentum 0.5)": nnbf.StochasticReconfiguration(),
        "rate 1, shift 1e-3, momentum 0.9": nnbf.StochasticReconfiguration(
            learning_rate=1.0, diag_shift=1e-3, momentum=0.9
        ),
        "rate 1, shift 1e-4, momentum 0.9, steps to 0.3": nnbf.StochasticReconfiguration(
            learning_rate=1.0, diag_shift=1e-4, momentum=0.9, max_step=0.3
        ),
    },
    "Adam": {
        "default (rate 1e-3)": nnbf.FirstOrder(),
        "rate 3e-3": nnbf.FirstOrder(optax.adam(3e-3)),
        "rate 1e-2": nnbf.FirstOrder(optax.adam(1e-2)),
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
    sector = symmetry_sector(nnbf.SelectedState(hamiltonian, model), irrep_bits(system.integrals), 20_000)
    if sector is None:
        raise SystemExit(f"{name}/{options.basis}: more than 20,000 determinants; give a smaller molecule")
    found = []
    for optimiser, settings in SETTINGS.items():
        for label, method in settings.items():
            state = nnbf.SelectedState(hamiltonian, model, determinants=sector, seed=options.seed)
            run(state, method, exact, seconds=None, steps=2)  # compiles
            state = nnbf.SelectedState(hamiltonian, model, determinants=sector, seed=options.seed)
            steps = run(state, method, exact, seconds=options.seconds, steps=1_000_000)
            found.append(
                {
                    "molecule": name,
                    "basis": options.basis,
                    "optimiser": optimiser,
                    "setting": label,
                    "n_determinants": len(sector),
                    "n_parameters": state.n_parameters,
                    **steps,
                }
            )
            print(
                f"{name}: {optimiser}, {label}: {min(steps['error_mHa']):.4f} mHa, "
                f"{len(steps['error_mHa'])} steps in {steps['time_s'][-1]:.1f} s",
                flush=True,
            )
    return found


def run(
    state: Any, method: Any, exact: float, *, seconds: float | None, steps: int
) -> dict[str, list[float]]:
    """Optimise on the determinants of the state and record (time_s, error_mHa) at the start of every step."""
    size = len(state.determinants)
    driver = nnbf.SelectedSpaceDriver(
        state, optimizer=method, growth=nnbf.Growth(first_size=size, max_size=size), energy_tolerance=1e-9
    )
    watch = _Watch(exact, seconds)
    driver.run(steps, out=(), callback=(watch,), show_progress=False)
    return {"time_s": watch.times, "error_mHa": watch.errors}


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
        times, errors = curve["time_s"], curve["error_mHa"]
        crossings = []
        for level in LEVELS:
            first = next((k for k, error in enumerate(errors) if error < level), None)
            crossings.append("" if first is None else f"{first}, {times[first]:.1f}")
        rows.append(
            [
                curve["molecule"],
                curve["optimiser"],
                curve["setting"],
                f"{1e3 * times[-1] / len(times):.1f}",
                f"{min(errors):.5f}",
                *crossings,
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
            if known is None or time_to(curve, 0.1) < time_to(known, 0.1):
                best[curve["optimiser"]] = curve
        for curve in curves:
            chosen = best[curve["optimiser"]] is curve
            style = {
                "color": colours[curve["optimiser"]],
                "linewidth": 2.0 if chosen else 0.8,
                "alpha": 1.0 if chosen else 0.45,
                "label": f"{curve['optimiser']}: {curve['setting']}" if chosen else None,
            }
            left.plot(range(1, len(curve["error_mHa"]) + 1), curve["error_mHa"], **style)
            right.plot(curve["time_s"], curve["error_mHa"], **style)
        for panel, name in ((left, "steps"), (right, "seconds, compilation left out")):
            panel.set(xscale="log", yscale="log", xlabel=name)
            panel.axhline(1.6, color="0.6", linewidth=0.8, linestyle="--")
            panel.grid(alpha=0.25)
        left.set_ylabel("error to FCI (mHa)")
        left.set_title(
            f"{molecule}/{curves[0]['basis']}, {curves[0]['n_determinants']} determinants", loc="left"
        )
        left.text(1.05, 1.75, "chemical accuracy", color="0.45", fontsize=8)
        right.legend(fontsize=7.5, loc="lower left")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def time_to(curve: Mapping[str, Any], level: float) -> float:
    """Seconds to the first error below a level (mHa); beyond all times, by the final error, where never."""
    for time_s, error in zip(curve["time_s"], curve["error_mHa"], strict=True):
        if error < level:
            return time_s
    return 1e6 + min(curve["error_mHa"])


if __name__ == "__main__":
    sys.exit(main())
