"""How long do short commands take, the first time and from the second run on?

The program as a user starts it, with a folder of its own for compiled programs: empty at the first run,
filled by it at the others. Kernels of Numba are there already, as after any earlier command.

    python benchmarks/start_up.py
    python benchmarks/start_up.py --molecules H2 N2 Li2O --runs 5
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _measure import RESULTS, machine_line, provenance, write_json

from nnbf._caches import VARIABLE
from nnbf._text import markdown_table as table
from nnbf.runs.schema import load_result


def main() -> int:
    """Run everything, write the numbers and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", nargs="+", default=["H2", "N2"])
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--runs", type=int, default=3, help="runs after the first one")
    parser.add_argument("--out", type=Path, default=RESULTS / "start_up.json")
    given = parser.parse_args()
    content: dict[str, Any] = {"provenance": provenance(), "basis": given.basis, "cases": []}
    for molecule in given.molecules:
        with tempfile.TemporaryDirectory() as folder:
            runs = [measured(molecule, given.basis, Path(folder), k) for k in range(1 + given.runs)]
        content["cases"].append({"molecule": molecule, "first": runs[0], "later": runs[1:]})
        print(f"{molecule}: {runs[0]['seconds']:.1f} s, then {best(runs[1:])['seconds']:.1f} s", flush=True)
    write_json(given.out, content)
    text = f"{report(content)}\n\n{machine_line(content['provenance'])}\n"
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def measured(molecule: str, basis: str, folder: Path, number: int) -> dict[str, Any]:
    """Run the command once: seconds on the clock, seconds of CPU time, programs compiled, energy."""
    programs, out = folder / "programs", folder / f"run{number}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment[VARIABLE] = str(programs)
    before, cpu = kept(programs), cpu_seconds()
    started = time.perf_counter()
    command = [sys.executable, "-m", "nnbf.cli", "molecule", molecule, "--basis", basis, "--out", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    result = load_result(out)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - cpu,
        "compiled": kept(programs) - before,
        "solving_seconds": result["wall_time_s"],
        "energy": result["energy"],
    }


def kept(programs: Path) -> int:
    """Number of programs in a folder."""
    return sum(1 for _ in programs.rglob("*-cache"))


def cpu_seconds() -> float:
    """CPU time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The quickest run: what is left when nothing else disturbs."""
    return min(runs, key=lambda run: run["seconds"])


def report(content: dict[str, Any]) -> str:
    """The table in Markdown."""
    rows = []
    for case in content["cases"]:
        first, later = case["first"], case["later"]
        quickest = best(later)
        rows.append(
            [
                f"{case['molecule']}/{content['basis']}",
                f"{first['seconds']:.1f} ({first['cpu_seconds']:.1f})",
                str(first["compiled"]),
                f"{quickest['seconds']:.1f} ({quickest['cpu_seconds']:.1f})",
                f"{statistics.median(run['seconds'] for run in later):.1f}",
                str(max(run["compiled"] for run in later)),
                f"{quickest['solving_seconds']:.1f}",
                "yes" if all(run["energy"] == first["energy"] for run in later) else "NO",
            ]
        )
    head = ["`nnbf molecule`", "first run, s (of CPU)", "programs", "later, s (of CPU)", "median", "programs"]
    return table([*head, "of it solving", "same bits"], rows)


if __name__ == "__main__":
    sys.exit(main())
