"""Complete-basis-set limit of any molecule.

    python runs/basis_limit.py H2O_eq --bases cc-pvdz cc-pvtz --frozen-core
    python runs/basis_limit.py "H 0 0 0; H 0 0 0.7414" --bases cc-pvdz cc-pvtz cc-pvqz --exact -1.174476

Every basis gets a run folder; run again, what is there is not computed again. `nnbf sweep` does the same from
a manifest (runs/h2o_basis_limit.toml); this script shows how it is done in Python, to be changed at will.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from hamiltonians import MoleculeSpec
from hamiltonians.molecule.geometry import read_geometry
from nnbf import SolverOptions
from nnbf.analysis import basis_limit, basis_points
from nnbf.report.style import png
from nnbf.report.sweep_figures import draw_basis_limit
from nnbf.runs import RunDirectory, plan_resumption, resume_run, run_molecule


def solved(problem: MoleculeSpec, options: SolverOptions, folder: Path) -> dict:
    """Return the result of a run: read, gone on with, or new."""
    if not (folder / "config.json").exists():
        return run_molecule(problem, options, out=folder).result
    if RunDirectory.open(folder).read_config()["problem"] != asdict(problem):
        raise SystemExit(f"error: {folder} holds another calculation: give another --out")
    resumption = plan_resumption(folder)
    if resumption.nothing_to_do is not None:
        return RunDirectory.open(folder).read_result()
    return resume_run(resumption).result


def main() -> None:
    """Run the bases one after the other, and extrapolate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("molecule", help="bundled name, .xyz file, or text (angstrom)")
    parser.add_argument("--bases", nargs="+", default=["cc-pvdz", "cc-pvtz"], help="sets of one family")
    parser.add_argument("--frozen-core", action="store_true", help="freeze the chemical core")
    parser.add_argument("--max-space", type=int, default=20_000, help="largest variational space")
    parser.add_argument("--time-limit", type=float, help="seconds of each run")
    parser.add_argument("--pt2", action="store_true", help="extrapolate energies with the PT2 correction")
    parser.add_argument("--exact", type=float, help="what to compare with, Hartree")
    parser.add_argument("--out", type=Path, help="folder of the runs; left out: runs/limit_<molecule>")
    given = parser.parse_args()
    out = given.out or Path("runs") / f"limit_{read_geometry(given.molecule).name}"

    options = SolverOptions(max_space=given.max_space, tail_steps=0, time_limit=given.time_limit)
    records = []
    for basis in given.bases:
        problem = MoleculeSpec(given.molecule, basis, frozen_core=given.frozen_core)
        result = solved(problem, options, out / basis)
        missing = result["estimates"]["pt2"]["correction"]  # what the variational space leaves out
        energy, error = result["energy"], abs(missing) if result["energy_kind"] == "variational" else 0.0
        if given.pt2:
            energy, error = result["estimates"]["pt2"]["energy"], 0.25 * abs(missing)  # as in sweeps
        hf = result["references"]["hf"]
        records.append({"basis": basis, "hf": hf, "energy": energy, "energy_error": error})
        print(f"{basis:12s} HF {hf:.6f}  total {energy:.6f} +- {error:.6f}", flush=True)

    points, family = basis_points(records)
    limit = basis_limit(points, family=family)
    print(f"limit {family:10s} {limit.energy:.6f} +- {limit.error:.6f} ({limit.kind}; {limit.formula})")
    for note in limit.notes:
        print(f"note: {note}")
    if given.exact is not None:
        print(f"less exact {1e3 * (limit.energy - given.exact):+.3f} mHa")
    picture = out / "limit.png"
    picture.write_bytes(png(draw_basis_limit(limit.record(), exact=given.exact, title=given.molecule)))
    print(f"picture {picture}")


if __name__ == "__main__":
    main()
