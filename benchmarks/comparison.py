"""Monte Carlo or selected space, Adam or second order, truncated or complete local energies?

Every method starts from the same network (the defaults of `nnbf molecule`, same seed) and has the same
time on one core. Errors are to FCI, on the quantity that the method minimises; the network is then
summed over the whole symmetry sector where that can be listed, which is the same question to all.
Ablations change one property of the network, or the size of V, at a time.

    python benchmarks/comparison.py                 # everything: two runs at a time, 40 minutes
    python benchmarks/comparison.py --only methods --molecules N2 --seconds 60
    python benchmarks/comparison.py --plot-only     # draw the last result again
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _measure import RESULTS, label_error_panels, machine_line, provenance, read_json, write_json
from accuracy_table import PUBLISHED

from nnbf._text import markdown_table as table

SPACES = {"H2O": 32, "N2": 256, "C2": 512, "Li2O": 4096}
"""Molecule -> |V| of the comparison: a part of the sector, so that truncation means something."""

METHODS: dict[str, dict[str, Any]] = {
    "MCMC, Adam": {"method": "vmc", "sampler": "metropolis", "optimizer": "adam"},
    "MCMC, SR": {"method": "vmc", "sampler": "metropolis", "optimizer": "sr"},
    "selected, Adam, complete": {"optimizer": "adam", "truncated": False},
    "selected, Adam, truncated": {"optimizer": "adam"},
    "selected, SR, complete": {"optimizer": "sr", "truncated": False},
    "selected, SR, truncated": {"optimizer": "sr"},
    "selected, Gauss-Newton, truncated": {"optimizer": "rgn"},
    "selected, Gauss-Newton, V free": {"optimizer": "rgn", "max_space": 50000},
}
"""Name -> options that differ from the defaults. The published scheme is selected with Adam."""

ABLATION = ("H2O", "6-31g", {"max_space": 2048, "tail_steps": 0})
"""Molecule, basis and options of the ablations."""

ABLATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "width": {str(n): {"hidden": (n,)} for n in (16, 32, 64, 128, 256)},
    "depth": {str(n): {"hidden": (128,) * n} for n in (1, 2, 3)},
    "determinants": {str(n): {"n_determinants": n} for n in (1, 2, 4, 8)},
    "size of V": {f"{n:,}": {"max_space": n} for n in (512, 2048, 8192)},
    "spin flip": {name: {"spin_flip": name} for name in ("none", "average", "canonical")},
    "orbitals": {"alpha x beta": {"blocked": True}, "one determinant": {"blocked": False}},
}
"""Property -> value -> options; the defaults are among them."""

LEVELS = (1.6, 0.5)
"""Errors (mHa) whose first crossing is tabulated; 1.6 is chemical accuracy."""


def main() -> int:
    """Run what is asked for, write the numbers, draw, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", nargs="+", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--seconds", type=float, default=90.0, help="time of every run")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, each on a core of its own")
    parser.add_argument("--only", choices=("methods", "ablations"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "comparison.json", help="JSON; PNG beside it")
    parser.add_argument("--plot-only", action="store_true", help="draw what the JSON file has")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(json.loads(options.one))))
        return 0
    if options.plot_only:
        content = read_json(options.out)
    else:
        content = run_all(options)
    if any(run["group"] == "methods" for run in content["runs"]):
        draw(content, options.out.with_suffix(".png"))
    text = f"{machine_line(content['provenance'])}\n\n{summary(content)}\n"
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten: {options.out}, and .png, .md beside it")
    return 0


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Make every run in a process of its own; results are written as they come."""
    earlier = read_json(options.out)["runs"] if options.only and options.out.exists() else []
    kept = [run for run in earlier if run["group"] != options.only]
    content = {"provenance": provenance(), "seconds": options.seconds, "seed": options.seed, "runs": kept}
    tasks = list(tasks_of(options))
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    free = [{core} for core in cores] or [None] * options.workers

    def work(task):
        core = free.pop()
        try:
            return {**task, **child(task, core)}
        finally:
            free.append(core)

    with ThreadPoolExecutor(min(options.workers, len(free))) as pool:
        for run in pool.map(work, tasks):
            content["runs"].append(run)
            write_json(options.out, content)
            shown = "failed: " + run["failure"] if "failure" in run else f"{run['error_mHa']:.3f} mHa"
            print(f"{run['group']}: {run['molecule']}, {run['name']}: {shown}", flush=True)
    return content


def tasks_of(options: argparse.Namespace):
    """What to run, as plain data."""
    shared = {"seconds": options.seconds, "seed": options.seed}
    if options.only != "ablations":
        for molecule in options.molecules:
            for name, changes in METHODS.items():
                changed = {"max_space": SPACES[molecule], "tail_steps": 0, **changes}
                yield {
                    "group": "methods", "molecule": molecule, "basis": "sto-3g", "name": name,
                    "options": changed, **shared,
                }  # fmt: skip
    if options.only != "methods":
        molecule, basis, base = ABLATION
        for axis, values in ABLATIONS.items():
            for value, changes in values.items():
                yield {
                    "group": "ablations", "molecule": molecule, "basis": basis, "axis": axis,
                    "name": f"{axis}: {value}", "value": value, "options": {**base, **changes}, **shared,
                }  # fmt: skip


def child(task: Mapping[str, Any], core: set[int] | None) -> dict[str, Any]:
    """Make one run in a fresh process on one core."""
    variables = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NNBF_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(task)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        preexec_fn=None if core is None else (lambda: os.sched_setaffinity(0, core)),
    )
    if done.returncode:
        return {"failure": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def measured(task: Mapping[str, Any]) -> dict[str, Any]:
    """Solve once; the clock starts when the Hamiltonian is there, and compilation counts."""
    import nnbf
    from hamiltonians import build_molecule
    from nnbf.drivers import Monitor

    system = build_molecule(task["molecule"], task["basis"])
    exact = system.references["fci"]
    if exact is None:
        exact = PUBLISHED[task["molecule"], task["basis"]]["energy"]
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in task["options"].items()}
    method = given.pop("method", "selected")
    options = nnbf.SolverOptions(
        **given, seed=task["seed"], time_limit=task["seconds"], max_steps=100_000, accuracy=1e-9
    )
    rows: list[dict[str, Any]] = []
    started = time.perf_counter()
    result = nnbf.solve(system, options, method=method, monitor=Monitor(rows.append)).lowest
    full = result.estimates.get("full_sum")
    curve = [(row["time_s"], row["evaluations"], 1e3 * (row["energy"] - exact)) for row in rows]
    return {
        "seconds_used": time.perf_counter() - started,
        "steps": result.n_steps,
        "status": result.status,
        "evaluations": rows[-1]["evaluations"],
        "n_parameters": result.n_parameters,
        "kind": rows[-1]["energy_kind"],
        "error_mHa": typical_end([error for _, _, error in curve], rows[-1]["energy_kind"]),
        "full_sum_mHa": None if full is None else 1e3 * (full.value - exact),
        "pt2_mHa": 1e3 * (result.estimates["pt2"].value - exact),
        "crossings": {str(level): first_below(level, curve) for level in LEVELS},
        "curve": thinned(curve),
    }


def typical_end(errors: Sequence[float], kind: str) -> float:
    """The last error; with Monte Carlo the median of the last ten, since single steps scatter."""
    if kind != "vmc":
        return errors[-1]
    last = sorted(errors[-10:])
    return last[len(last) // 2]


def first_below(level: float, curve: Sequence[tuple[float, int, float]]) -> tuple[float, int] | None:
    """Seconds and evaluations to the first error below a level that lasts for three steps."""
    below = 0
    for row in curve:
        below = below + 1 if row[2] < level else 0
        if below == 3:
            return row[0], row[1]
    return None


def thinned(curve: Sequence[tuple[float, int, float]]) -> list[tuple[float, int, float]]:
    """Rows of the first hundred steps, then 2 % apart."""
    rows, following = [], 1.0
    for step, (time_s, evaluations, error) in enumerate(curve, start=1):
        if step >= following or step == len(curve):
            rows.append((round(time_s, 3), evaluations, float(f"{error:.5g}")))
            following = step + max(1.0, 0.02 * (step - 50))
    return rows


def summary(content: Mapping[str, Any]) -> str:
    """Tables of methods and of ablations, as Markdown."""
    parts = []
    runs = [run for run in content["runs"] if run["group"] == "methods"]
    if runs:
        heads = ["molecule", "method", "steps", "network evaluations", "error (mHa)", "whole sector (mHa)"]
        heads += [f"to {level} mHa: s, evaluations" for level in LEVELS]
        parts.append(table(heads, [_row(run) for run in runs], numbers=range(2, 8)))
    runs = [run for run in content["runs"] if run["group"] == "ablations"]
    if runs:
        heads = ["property", "value", "parameters", "steps", "s to 1.6 mHa", "on V (mHa)", "with PT2 (mHa)"]
        parts.append(table(heads, [_ablation_row(run) for run in runs], numbers=range(2, 7)))
    return "\n\n".join(parts)


def _row(run: Mapping[str, Any]) -> list[str]:
    if "failure" in run:
        return [run["molecule"], run["name"], run["failure"], *[""] * 5]
    whole = run["full_sum_mHa"]
    crossings = [run["crossings"][str(level)] for level in LEVELS]
    return [
        run["molecule"],
        run["name"],
        str(run["steps"]),
        f"{run['evaluations']:.1e}",
        f"{run['error_mHa']:.3f}",
        "" if whole is None else f"{whole:.3f}",
        *("" if found is None else f"{found[0]:.1f}, {found[1]:.0e}" for found in crossings),
    ]


def _ablation_row(run: Mapping[str, Any]) -> list[str]:
    if "failure" in run:
        return [run["axis"], run["value"], run["failure"], *[""] * 4]
    found = run["crossings"]["1.6"]
    return [
        run["axis"],
        run["value"],
        f"{run['n_parameters']:,}",
        str(run["steps"]),
        "" if found is None else f"{found[0]:.1f}",
        f"{run['error_mHa']:.3f}",
        f"{run['pt2_mHa']:+.3f}",
    ]


def draw(content: Mapping[str, Any], path: Path) -> None:
    """Error against seconds (left) and network evaluations (right), one row of panels a molecule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = [run for run in content["runs"] if run["group"] == "methods" and "curve" in run]
    molecules = list(dict.fromkeys(run["molecule"] for run in runs))
    figure, panels = pyplot.subplots(
        len(molecules), 2, figsize=(11, 3.3 * len(molecules)), squeeze=False, sharey="row",
        layout="constrained",
    )  # fmt: skip
    colours = ("#b3541e", "#d69f2b", "#8a8a8a", "#4d4d4d", "#6fa8dc", "#1f5fa8", "#7b4ea3", "#3a7d44")
    for (left, right), molecule in zip(panels, molecules, strict=True):
        for run in runs:
            if run["molecule"] != molecule:
                continue
            colour = colours[list(METHODS).index(run["name"])]
            seconds, evaluations, errors = zip(*run["curve"], strict=True)
            line = "--" if "complete" in run["name"] else "-"
            style = {"color": colour, "linewidth": 1.4, "linestyle": line}
            # A projected energy can lie below FCI: what counts is the distance.
            sizes = [max(abs(error), 1e-4) for error in errors]
            left.plot(seconds, sizes, label=run["name"], **style)
            right.plot(evaluations, sizes, **style)
        costs = ("seconds on one core", "network evaluations")
        label_error_panels(left, right, costs, f"{molecule}, STO-3G, |V| = {SPACES[molecule]:,}")
        left.set_ylim(1e-3, 1e3)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncols=4, loc="outside lower center", frameon=False)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
