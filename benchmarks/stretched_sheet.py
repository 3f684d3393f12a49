"""Hydrogen sheet with stretched bonds: what do a broken-symmetry start and the projection on total spin gain?

2x3 atoms, 1.8 A apart, STO-6G, Loewdin orbitals. Everything but the start and the projection is the same for
all curves: network, power of |psi|, proposals, samples, steps, seeds.

    python benchmarks/stretched_sheet.py
    python benchmarks/stretched_sheet.py --plot-only     # draw the last result again
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _measure import RESULTS, machine_line, provenance, read_json, write_json

from hamiltonians import build_molecule
from nnbf._text import markdown_table as table
from nnbf.drivers import SolverOptions, solve
from nnbf.drivers.monitor import Monitor

SPACING = 1.8
"""Angstrom."""
FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "stretched_sheet.png"
SETTINGS: dict[str, Any] = {
    "hidden": (16,),
    "n_determinants": 1,
    "n_samples": 512,
    "sampler": "metropolis",
    "n_chains": 64,
    "sampling_power": 1.4,
    "learning_rate": 1.0,
    "precision": 5e-4,
}
"""The same for all."""
CASES: dict[str, dict[str, Any]] = {
    "restricted": {"start_orbitals": "rhf"},
    "restricted, projected": {"start_orbitals": "rhf", "total_spin": 0.0},
    "unrestricted": {"start_orbitals": "uhf"},
    "unrestricted, projected": {"start_orbitals": "uhf", "total_spin": 0.0},
}
"""What differs."""


def main() -> int:
    """Run everything, write the numbers, draw the curves, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS / "stretched_sheet.json")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--plot-only", action="store_true", help="draw what the JSON file has")
    given = parser.parse_args()
    content = read_json(given.out) if given.plot_only else measured(given)
    draw(content, given.figure)
    text = f"{report(content)}\n\n{machine_line(content['provenance'])}\n"
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten: {given.out}, .md beside it, and {given.figure}")
    return 0


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Distance (mHa) to FCI of every step and of the final state, for all cases and seeds."""
    content: dict[str, Any] = {
        "provenance": provenance(),
        "settings": {**SETTINGS, "max_steps": given.steps, "spacing": SPACING},
        "runs": [],
    }
    atoms = "; ".join(f"H {SPACING * x} {SPACING * y} 0" for x in range(3) for y in range(2))
    system = build_molecule(atoms, "sto-6g", orbitals="lowdin")
    exact = system.references["fci"]
    for seed in given.seeds:
        for name, case in CASES.items():
            rows: list[dict[str, Any]] = []
            options = SolverOptions(**SETTINGS, **case, max_steps=given.steps, seed=seed)
            level = solve(system, options, method="vmc", monitor=Monitor(rows.append)).lowest
            run = {
                "case": name,
                "seed": seed,
                "steps_mHa": [1e3 * (row["energy"] - exact) for row in rows],
                "final_mHa": 1e3 * (level.energy.value - exact),
                "error_mHa": 1e3 * level.energy.error,
                "full_sum_mHa": 1e3 * (level.estimates["full_sum"].value - exact),
                "s_squared": level.s_squared,
                "parameters": level.n_parameters,
                "seconds": rows[-1]["time_s"],
            }
            content["runs"].append(run)
            write_json(given.out, content)
            print(
                f"{name}, seed {seed}: {run['final_mHa']:.2f} +- {run['error_mHa']:.2f} mHa, "
                f"<S^2> {run['s_squared']:.4f}, {run['seconds']:.0f} s",
                flush=True,
            )
    return content


def report(content: Mapping[str, Any]) -> str:
    """Table of distances to FCI."""
    last = content["settings"]["max_steps"]
    marks = [step for step in (1, 20, 40) if step < last]
    head = ["start", "seed", *(f"step {step}" for step in marks), "final state", "its exact sum", "<S^2>"]
    body = [
        [
            run["case"],
            str(run["seed"]),
            *(f"{run['steps_mHa'][step - 1]:.1f}" for step in marks),
            f"{run['final_mHa']:.2f} +- {run['error_mHa']:.2f}",
            f"{run['full_sum_mHa']:.2f}",
            f"{run['s_squared']:.4f}",
        ]
        for run in content["runs"]
    ]
    settings = ", ".join(f"{name} {value}" for name, value in content["settings"].items())
    return f"Energy above FCI in mHa; {settings}\n\n{table(head, body)}"


def draw(content: Mapping[str, Any], path: Path) -> None:
    """Error against steps: the mean of the seeds, and the range of all of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = dict(zip(CASES, ("#8a8f98", "#a16207", "#0f766e", "#1f5fa8"), strict=True))
    figure, panel = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    for name, colour in colours.items():
        curves = np.array([run["steps_mHa"] for run in content["runs"] if run["case"] == name])
        if not curves.size:
            continue
        steps = np.arange(1, curves.shape[1] + 1)
        shown = np.maximum(curves, 0.1)
        panel.plot(steps, shown.mean(axis=0), color=colour, linewidth=1.8, label=name)
        panel.fill_between(steps, shown.min(axis=0), shown.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    panel.axhline(1.6, color="0.6", linewidth=0.8, linestyle="--")
    edge = panel.get_yaxis_transform()
    panel.text(0.01, 1.7, "chemical accuracy", color="0.45", fontsize=8, va="bottom", transform=edge)
    panel.set(yscale="log", xlabel="steps", ylabel="energy above FCI (mHa)")
    panel.set_title(f"H6, 2x3 sheet, {SPACING} A, STO-6G, Loewdin orbitals", loc="left", fontsize=10)
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8, title="Hartree-Fock start", title_fontsize=8, loc="upper right")
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
