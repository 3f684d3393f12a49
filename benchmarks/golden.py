"""Do two versions of the program compute the same numbers, bit by bit?

Seven short runs, through the command line, of one checkout; energies and variances of every step, of every
level and of the final estimates are written as hexadecimal floats. Bits depend on the processor and on the
versions of libraries, so both sides have to be run on one machine:

    python benchmarks/golden.py run OLD_CHECKOUT old.json
    python benchmarks/golden.py run . new.json
    python benchmarks/golden.py compare old.json new.json
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SMALL = "--seed 3 --quiet"
VMC = f"--method vmc --n-samples 128 --final-samples 1024 {SMALL}"
RUNS = {
    "lih_selected": [f"molecule LiH --basis sto-3g --hidden 16 --max-steps 14 {SMALL}"],
    "lih_vmc": [
        "molecule LiH --basis sto-3g --method vmc --sampler metropolis --hidden 16 --n-samples 256 "
        f"--n-chains 16 --max-steps 8 --precision 0.01 {SMALL}"
    ],
    "h2o_evaluate": [
        f"molecule H2O --basis sto-3g --hidden 12 --max-space 60 {SMALL}",
        "evaluate {out} --precision 0.001 --samples 8192 --quiet",
    ],
    "tv_3x3_full_sum": [
        "spectrum tv --size 3x3 --particles 4 --interaction 1 --momenta '0,0 1,0' --irreps none "
        f"--max-steps 12 {SMALL}"
    ],
    "tv_4x2_vmc": [f"lattice tv --size 4x2 --particles 3 --interaction 2 --max-steps 10 {VMC}"],
    "hubbard_2x2_penalty": [
        f"lattice hubbard --size 2x2 --particles 2,2 --interaction 4 --spin-penalty 0.5 --max-steps 8 {VMC}"
    ],
    "charge_2x2": [f"charge tv --size 2x2 --particles 2 --interaction 1 {SMALL}"],
}
WANTED = ("energy", "variance", "energy_error", "error", "objective", "value")


def collect(content: Any, path: str = "") -> dict[str, str]:
    """Return the numbers of interest in a nested record, by their place."""
    if isinstance(content, dict):
        found: dict[str, str] = {}
        for key, item in content.items():
            if key in ("references", "reference", "wall_time_s", "time_s", "rounds", "system"):
                continue
            if key in WANTED and isinstance(item, float):
                found[f"{path}/{key}"] = item.hex()
            else:
                found |= collect(item, f"{path}/{key}")
        return found
    if isinstance(content, list):
        return {k: v for n, item in enumerate(content) for k, v in collect(item, f"{path}/{n}").items()}
    return {}


def numbers(folder: Path) -> dict[str, Any]:
    """Return the numbers of a run folder: history, and the levels or the headline of the result."""
    history = folder / "history.jsonl"
    rows = [json.loads(line) for line in history.read_text().splitlines()] if history.is_file() else []
    result = json.loads((folder / "result.json").read_text())
    # Both formats of result.json: what is compared is what both have.
    levels = result.get("levels") or result.get("sectors") or []
    kept = {key: result.get(key) for key in ("energy", "energy_error", "variance", "estimates")}
    energies = sorted((level["energy"], level.get("variance")) for level in levels)
    return {
        "rows": [collect({key: row.get(key) for key in WANTED}) for row in rows],
        "result": collect(kept),
        "levels": collect([{"energy": energy, "variance": variance} for energy, variance in energies]),
    }


def run(checkout: Path, target: Path, only: str | None) -> None:
    """Make all runs with the program in a checkout."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout.resolve()),
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    }
    found = json.loads(target.read_text()) if target.is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, commands in RUNS.items():
            if only is not None and name != only:
                continue
            out = Path(scratch) / name
            for number, command in enumerate(commands):
                arguments = [str(out) if part == "{out}" else part for part in shlex.split(command)]
                arguments += [] if number else ["--out", str(out)]
                done = subprocess.run(
                    [sys.executable, "-m", "nnbf.cli", *arguments],
                    env=environment, cwd=scratch, capture_output=True, text=True,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(f"{name}: {' '.join(arguments)}\n{done.stderr[-2000:]}")
            found[name] = numbers(out)
            target.write_text(json.dumps(found, indent=1))
            print(f"{name}: {len(found[name]['rows'])} rows", flush=True)


def difference(first: dict[str, Any], second: dict[str, Any]) -> tuple[int, float, int]:
    """Return how many numbers both have, their largest relative difference, and how many only one has."""
    pairs = [(first["result"], second["result"]), (first["levels"], second["levels"])]
    pairs += list(zip(first["rows"], second["rows"]))
    shared, largest, alone = 0, 0.0, abs(len(first["rows"]) - len(second["rows"]))
    for one, other in pairs:
        alone += len(set(one) ^ set(other))
        for key in set(one) & set(other):
            a, b = float.fromhex(one[key]), float.fromhex(other[key])
            shared += 1
            if one[key] != other[key]:
                largest = max(largest, abs(a - b) / max(1.0, abs(a)))
    return shared, largest, alone


def compare(first: Path, second: Path) -> int:
    """Print how far the numbers of two files differ; 1 where they do."""
    old, new = json.loads(first.read_text()), json.loads(second.read_text())
    different = False
    for name in old:
        if name not in new:
            print(f"{name}: missing")
            different = True
            continue
        shared, largest, alone = difference(old[name], new[name])
        text = "the same bits" if largest == 0.0 else f"largest difference {largest:.1e}"
        print(f"{name}: {shared} numbers, {text}" + (f", {alone} on one side only" if alone else ""))
        different = different or largest > 0.0 or alone > 0
    return int(different)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("run")
    make.add_argument("checkout", type=Path)
    make.add_argument("target", type=Path)
    make.add_argument("--only", choices=RUNS)
    check = commands.add_parser("compare")
    check.add_argument("first", type=Path)
    check.add_argument("second", type=Path)
    given = parser.parse_args()
    if given.command == "compare":
        return compare(given.first, given.second)
    run(given.checkout, given.target, given.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
