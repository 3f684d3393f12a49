"""The same small runs as `runs.py` makes, in folders, and each by all processes together."""

import json
import sys
from pathlib import Path

from nnbf import _processes
from nnbf._runtime import load_netket


def lead(systems, out, every):
    from hamiltonians import Lattice, load_problem
    from nnbf.runs import Job, run_job, run_system
    from nnbf.runs.evaluate_run import evaluate_run
    from nnbf.runs.job import LatticeLimits, SectorChoice
    from tests.devices import runs

    n2 = load_problem(systems / "n2.npz")
    run_system(n2, runs.N2, out=out / "N2 selected")
    evaluated = evaluate_run(out / "N2 selected", runs.EVALUATION).evaluation
    found = [evaluated.energy.value, evaluated.energy.error, evaluated.acceptance]
    (out / "evaluate.json").write_text(json.dumps(found))
    if every:
        run_system(load_problem(systems / "sheet.npz"), runs.SHEET, method="vmc", out=out / "sheet vmc")
        choices = {"t-V full sum": ("0,0", "A1", runs.TV), "Hubbard vmc": ("0,0", "none", runs.HUBBARD)}
        models = (runs.TV_MODEL, runs.HUBBARD_MODEL)
        for model, (name, (momentum, irrep, options)) in zip(models, choices.items(), strict=True):
            choice, limits = SectorChoice(momentum, irrep), LatticeLimits(exact_limit=0)
            job = Job("lattice", Lattice(**model), options, choice=choice, limits=limits)
            run_job(job, out=out / name)
    # One that does not end by itself: it is killed.
    run_system(n2, runs.ENDLESS, out=out / "endless", checkpoint_interval=0.0)


if __name__ == "__main__":
    _processes.join()
    load_netket()
    if _processes.is_first():
        lead(Path(sys.argv[1]), Path(sys.argv[2]), every="every" in sys.argv)
        _processes.leave(0)
    from nnbf.runs.followers import follow

    _processes.leave(follow())
