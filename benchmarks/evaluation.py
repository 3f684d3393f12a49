"""How good are sampled energies? Agreement with the full sum over many seeds, and the cost on Li2O.

    python benchmarks/evaluation.py                 # N2: 20 seeds of both samplers; Li2O: one evaluation
    python benchmarks/evaluation.py --only N2 --runs runs/

Runs are made with `nnbf molecule` where they are not there yet. Writes results/evaluation.json and .md.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _measure import RESULTS, machine_line, provenance, write_json

from hamiltonians import irrep_bits
from nnbf._text import markdown_table as table
from nnbf.evaluation import EvaluationOptions, make_source, sample_energy
from nnbf.runs.directory import RunDirectory
from nnbf.runs.evaluate_run import evaluate_run
from nnbf.runs.trained import load_trained
from nnbf.states import full_sum_energy, symmetry_sector

SEEDS = 20
#: N2/STO-3G is small: little of it is summed exactly, so that there is something to sample.
LARGE = 20


def trained_run(folder: Path, molecule: str, *options: str) -> Path:
    if not (folder / "result.json").is_file():
        command = [sys.executable, "-m", "nnbf.cli", "molecule", molecule, "--basis", "sto-3g"]
        subprocess.run([*command, "--out", str(folder), "--quiet", *options], check=True)
    return folder


def seeds_against_full_sum(folder: Path, sampler: str, precision: float) -> dict:
    """Sample with many seeds; compare with the sum over the whole sector."""
    trained = load_trained(RunDirectory.open(folder))
    state, irreps = trained.state, irrep_bits(trained.problem.integrals)
    exact, _ = full_sum_energy(state, symmetry_sector(state, irreps, 100_000))
    rows = []
    for seed in range(SEEDS):
        options = EvaluationOptions(
            precision=precision, seed=seed, large=LARGE, sampler=sampler, time_limit=120.0
        )
        started = time.perf_counter()
        source = make_source(state, irreps, options, large=trained.determinants)
        found = sample_energy(source, options)[0]
        rows.append(
            {
                "seed": seed,
                "deviation": found.energy.value - exact,
                "error": found.energy.error,
                "n_samples": found.n_samples,
                "r_hat": found.energy.r_hat,
                "seconds": time.perf_counter() - started,
            }
        )
        print(sampler, rows[-1], flush=True)
    sigmas = np.array([abs(row["deviation"]) / row["error"] for row in rows])
    return {
        "run": folder.name,
        "sampler": sampler,
        "full_sum": exact,
        "within": {str(k): int(np.count_nonzero(sigmas < k)) for k in (1, 2, 3)},
        "largest_sigmas": float(sigmas.max()),
        "mean_deviation": float(np.mean([row["deviation"] for row in rows])),
        "error_of_mean": float(np.sqrt(np.sum([row["error"] ** 2 for row in rows])) / len(rows)),
        "rows": rows,
    }


def large_case(folder: Path) -> dict:
    """Evaluate with defaults, as `nnbf evaluate` does."""
    cpu, started = time.process_time(), time.perf_counter()
    done = evaluate_run(folder, note=lambda what: print(what, flush=True))
    found = done.evaluation
    return {
        "run": folder.name,
        "energy": found.energy.value,
        "error": found.energy.error,
        "variance": found.variance.value,
        "outside": found.outside,
        "n_large": found.n_large,
        "n_samples": found.n_samples,
        "sampler": found.sampler,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "estimates": done.result["estimates"],
        "extrapolations": done.record["extrapolations"],
        "warnings": list(done.warnings),
    }


def markdown(content: dict) -> str:
    heads = [
        "run",
        "sampler",
        "seeds",
        "within 1 sigma",
        "2 sigma",
        "3 sigma",
        "largest",
        "mean deviation (mHa)",
    ]
    rows = [
        [
            one["run"],
            one["sampler"],
            str(len(one["rows"])),
            *(str(one["within"][k]) for k in ("1", "2", "3")),
            f"{one['largest_sigmas']:.2f} sigma",
            f"{1e3 * one['mean_deviation']:+.5f} +/- {1e3 * one['error_of_mean']:.5f}",
        ]
        for one in content["seeds"]
    ]
    lines = [
        "# Sampled energies",
        "",
        machine_line(content["provenance"]),
        "",
        table(heads, rows, numbers=(2, 3, 4, 5)),
    ]
    if content["large"] is not None:
        one = content["large"]
        lines += [
            "",
            table(
                [
                    "run",
                    "energy (Hartree)",
                    "error (mHa)",
                    "samples",
                    "weight sampled",
                    "seconds",
                    "CPU s",
                    "peak MB",
                ],
                [
                    [
                        one["run"],
                        f"{one['energy']:.6f}",
                        f"{1e3 * one['error']:.4f}",
                        f"{one['n_samples']:,}",
                        f"{one['outside']:.1e}",
                        f"{one['seconds']:.0f}",
                        f"{one['cpu_seconds']:.0f}",
                        f"{one['peak_MB']:.0f}",
                    ]
                ],
                numbers=range(1, 8),
            ),
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("N2", "Li2O"), help="one of the two")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are")
    arguments = parser.parse_args()
    content: dict = {"provenance": provenance(), "seeds": [], "large": None}
    if arguments.only != "Li2O":
        whole = trained_run(arguments.runs / "evaluate_n2", "N2")
        # Trained on a part of the sector, a network is no eigenstate: there is more to get wrong.
        part = trained_run(
            arguments.runs / "evaluate_n2_part", "N2", "--max-space", "100", "--tail-steps", "0"
        )
        content["seeds"] = [
            seeds_against_full_sum(whole, "sector", 1e-4),
            seeds_against_full_sum(part, "sector", 1e-4),
            seeds_against_full_sum(part, "metropolis", 1e-3),
        ]
    if arguments.only != "N2":
        content["large"] = large_case(trained_run(arguments.runs / "evaluate_li2o", "Li2O"))
    name = "evaluation" + (f"_{arguments.only.lower()}" if arguments.only else "")
    write_json(RESULTS / f"{name}.json", content)
    (RESULTS / f"{name}.md").write_text(markdown(content), encoding="utf-8")
    print(markdown(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
