"""How accurate is `nnbf molecule` with its defaults, and what does it cost?

Runs the command line program, as a user would, on every .xyz file of a folder and for several seeds.
Start-up, compilation and reference energies are in the time. A result that is in the JSON file
already is not computed again, so that an interrupted table can be completed:

    python benchmarks/accuracy_table.py                                  # the bundled set, STO-3G
    python benchmarks/accuracy_table.py molecules/ --basis 6-31g --seeds 0 1
    python benchmarks/accuracy_table.py Li2O.xyz --reference Li2O=-87.8926932463

Charge and 2S come from the comment line of each file.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _measure import RESULTS, machine_line, provenance, read_json, write_json

from hamiltonians.molecule.geometry import bundled_path
from nnbf._text import markdown_table as table

BENCHMARK_SET = ("H2", "LiH", "H2O", "NH3", "CH4", "O2", "N2", "C2", "Li2O")
"""The common neural-network benchmark set up to 30 spin orbitals, all bundled."""

KINDS = ("variational", "full_sum", "projected", "pt2")

PUBLISHED = {
    ("Li2O", "sto-3g"): {
        "energy": -87.8926932463,
        "hf": -87.7955672142,
        "source": "FCI, reference_energy.txt of the QiankunNet group and the naqs hdf5 files",
    }
}
"""FCI energies (Hartree) that nnbf does not compute by default; used where the HF energy is the same."""


def main() -> int:
    """Run what is missing, write and print the tables."""
    options = parse_arguments()
    files = [path for given in options.molecules for path in xyz_files(given)]
    out = Path(options.out) if options.out else RESULTS / f"accuracy_{file_name(options.basis)}.json"
    runs: dict[str, dict[str, Any]] = read_json(out)["runs"] if out.exists() else {}
    wanted = [(path, seed) for path in files for seed in options.seeds]
    keys = [run_key(path, options.basis, seed) for path, seed in wanted]
    about = provenance()
    for number, ((path, seed), key) in enumerate(zip(wanted, keys, strict=True), start=1):
        head = f"[{number}/{len(wanted)}] {path.stem:<8} {options.basis} seed {seed}"
        if key in runs and runs[key]["status"] != "failed" and not options.again:
            commit = ((runs[key].get("git") or {}).get("commit") or "unknown")[:7]
            print(f"{head}  done before, at commit {commit}", flush=True)
            continue
        print(f"{head}  running", flush=True)
        record = {**run_one(path, options.basis, seed, options.keep), "git": about["git"]}
        # Read again: another process may be filling the same table.
        runs = {**(read_json(out)["runs"] if out.exists() else {}), key: record}
        write_json(out, {"provenance": about, "runs": runs})
        print(f"{head}  {progress(judged(runs[key], options.reference))}", flush=True)
    # References given on the command line belong to the table, not to the runs.
    records = [judged(runs[key], options.reference) for key in keys]
    text = "\n".join(["", machine_line(about), "", summary_table(records), "", full_table(records), ""])
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    print(f"written: {out} and {out.with_suffix('.md')}")
    return 1 if any(record["status"] == "failed" for record in records) else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "molecules", nargs="*", help=f"folders or .xyz files; default: bundled {' '.join(BENCHMARK_SET)}"
    )
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", help="JSON file (default benchmarks/results/accuracy_BASIS.json)")
    parser.add_argument("--again", action="store_true", help="run also what the JSON file has already")
    parser.add_argument("--keep", help="keep the run folders here")
    parser.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="NAME=E",
        help="exact energy, Hartree, for a molecule whose FCI nnbf does not compute",
    )
    options = parser.parse_args()
    if not options.molecules:
        options.molecules = [str(bundled_path(name)) for name in BENCHMARK_SET]
    try:
        options.reference = {
            name: float(energy) for name, energy in (text.split("=") for text in options.reference)
        }
    except ValueError:
        parser.error("give --reference NAME=E, with E in Hartree")
    for given in options.molecules:
        if not Path(given).exists():
            parser.error(f"{given} does not exist: give a folder or an .xyz file")
    return options


def xyz_files(given: str) -> list[Path]:
    """The .xyz files of a folder, or the file itself."""
    path = Path(given)
    return sorted(path.glob("*.xyz")) if path.is_dir() else [path]


def run_key(path: Path, basis: str, seed: int) -> str:
    """Name of a run: the geometry by its content, since one name has many geometries."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return f"{path.stem}-{digest} {basis} seed {seed}"


def file_name(basis: str) -> str:
    """A basis as part of a file name."""
    return "".join(letter if letter.isalnum() else "-" for letter in basis.casefold())


def run_one(path: Path, basis: str, seed: int, keep: str | None) -> dict[str, Any]:
    """Run `nnbf molecule` as a process of its own and return what it found and cost."""
    with tempfile.TemporaryDirectory(prefix="nnbf_accuracy_") as scratch:
        parent = Path(keep) if keep else Path(scratch)
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / f"{path.stem}_{file_name(basis)}_{seed}_{os.getpid()}"
        command = [sys.executable, "-m", "nnbf.cli", "molecule", str(path.resolve())]
        command += ["--basis", basis, "--seed", str(seed), "--out", str(folder), "--quiet"]
        log = Path(scratch) / "log.txt"
        with log.open("wb") as stream:
            started = time.perf_counter()
            process = subprocess.Popen(command, stdout=stream, stderr=stream)
            # wait4 and not process.wait(): the memory of this one child is wanted.
            _, wait_status, usage = os.wait4(process.pid, 0)
            elapsed = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(wait_status)
        cost = {
            "seconds": elapsed,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_MB": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        }
        record = {"molecule": path.stem, "file": path.name, "basis": basis, "seed": seed, **cost}
        if not (folder / "result.json").exists():
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            message = lines[-1] if lines else f"exit code {process.returncode}"
            return {**record, "status": "failed", "message": message, "exit_code": process.returncode}
        result = read_json(folder / "result.json")
    wanted = ("status", "message", "energy", "energy_kind", "estimates", "references", "system", "variance")
    wanted += ("v_score", "s_squared", "n_determinants", "n_connected", "n_parameters", "n_steps")
    record |= {name: result.get(name) for name in wanted}
    return {**record, "solver_seconds": result.get("wall_time_s"), "exit_code": process.returncode}


def judged(record: Mapping[str, Any], given: Mapping[str, float]) -> dict[str, Any]:
    """Add errors to FCI (mHa) by kind of energy, and where that FCI comes from."""
    exact, origin = reference_of(record, given)
    estimates = record.get("estimates") or {}
    errors = {
        kind: None if exact is None else 1e3 * (estimates[kind]["energy"] - exact)
        for kind in KINDS
        if kind in estimates
    }
    headline = None
    if exact is not None and record.get("energy") is not None:
        headline = 1e3 * (record["energy"] - exact)
    return {**record, "fci": exact, "fci_origin": origin, "errors_mHa": errors, "error_mHa": headline}


def reference_of(record: Mapping[str, Any], given: Mapping[str, float]) -> tuple[float | None, str]:
    """The exact energy (Hartree) that a run is compared with, and its origin."""
    name, references = record["molecule"], record.get("references") or {}
    if name in given:
        return given[name], "given"
    if references.get("fci") is not None:
        return references["fci"], "computed"
    published = PUBLISHED.get((name, record["basis"].casefold()))
    # The same name is not the same geometry: the HF energy is the fingerprint.
    if published and references.get("hf") is not None and abs(references["hf"] - published["hf"]) < 1e-6:
        return published["energy"], "published"
    return None, "none"


def progress(record: Mapping[str, Any]) -> str:
    """The end of a progress line."""
    if record["status"] == "failed":
        return f"FAILED after {record['seconds']:.0f} s: {record.get('message')}"
    error = "" if record["error_mHa"] is None else f"{record['error_mHa']:+.4f} mHa to FCI, "
    return (
        f"{record['energy']:.8f} Ha ({record['energy_kind']}), {error}{record['seconds']:.1f} s, "
        f"{record['peak_MB']:.0f} MB, {record['status']}"
    )


def summary_table(records: Sequence[Mapping[str, Any]]) -> str:
    """One row a molecule: the worst error over the seeds, the median time."""
    heads = ["molecule", "2S", "spin orbitals", "seeds", "worst error of the energy (mHa)", "its kind", "FCI"]
    heads += ["median s", "most s", "peak MB"]
    rows = []
    for name in dict.fromkeys(record["molecule"] for record in records):
        done = [r for r in records if r["molecule"] == name and r["status"] != "failed"]
        count = sum(r["molecule"] == name for r in records)
        if not done:
            rows.append([name, "", "", f"0 of {count}", "failed", "", "", "", "", ""])
            continue
        errors = [r for r in done if r["error_mHa"] is not None]
        worst = max(errors, key=lambda r: abs(r["error_mHa"]), default=None)
        times = [r["seconds"] for r in done]
        rows.append(
            [
                name,
                str(done[0]["system"]["two_S"]),
                str(2 * done[0]["system"]["n_orbitals"]),
                f"{len(done)} of {count}",
                "" if worst is None else f"{worst['error_mHa']:+.4f}",
                "" if worst is None else worst["energy_kind"],
                done[0]["fci_origin"],
                f"{statistics.median(times):.1f}",
                f"{max(times):.1f}",
                f"{max(r['peak_MB'] for r in done):.0f}",
            ]
        )
    return table(heads, rows, numbers=(1, 2, 3, 4, 7, 8, 9))


def full_table(records: Sequence[Mapping[str, Any]]) -> str:
    """One row a run, with the error of every kind of energy."""
    heads = ["molecule", "seed", *(f"{kind} (mHa)" for kind in KINDS), "FCI", "seconds", "of it solving"]
    heads += ["steps", "determinants in V", "peak MB", "status"]
    rows = []
    for r in records:
        head = [r["molecule"], str(r["seed"])]
        if r["status"] == "failed":
            cost = [f"{r['seconds']:.1f}", "", "", "", f"{r['peak_MB']:.0f}"]
            rows.append([*head, *[""] * (len(KINDS) + 1), *cost, "failed"])
            continue
        errors = [r["errors_mHa"].get(kind) for kind in KINDS]
        rows.append(
            [
                *head,
                *("" if error is None else f"{error:+.4f}" for error in errors),
                r["fci_origin"],
                f"{r['seconds']:.1f}",
                f"{r['solver_seconds']:.1f}",
                str(r["n_steps"]),
                f"{r['n_determinants']:,}",
                f"{r['peak_MB']:.0f}",
                r["status"],
            ]
        )
    return table(heads, rows, numbers=(1, 2, 3, 4, 5, 7, 8, 9, 10, 11))


if __name__ == "__main__":
    sys.exit(main())
