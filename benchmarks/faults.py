"""Do runs survive? Kills, damaged checkpoints, full disks and signals, against a run left in peace.

Every case ends with `nnbf resume` and compares energies, parameters, determinants and the rows of the
history (all but their times) bit by bit with the undisturbed run:

    taskset -c 0 python benchmarks/faults.py                  # all of it, about ten minutes on one core
    python benchmarks/faults.py --kills 5 --only kills signals
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from _faults import Case, Lab, Program
from _faults_disk import disk_cases
from _faults_files import file_cases
from _faults_kills import kill_cases, signal_cases
from _measure import RESULTS, machine_line, provenance, write_json

from nnbf._text import markdown_table as table

GROUPS = {
    "kills": "SIGKILL at random moments, then resume",
    "signals": "SIGTERM, SIGINT and time limits, then resume",
    "files": "checkpoints and other files damaged, then resume",
    "disk": "disk full, then space again and resume",
}


def main() -> int:
    """Run the cases, write and print the tables."""
    options = parse_arguments()
    about = provenance()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        lab = Lab(Path(scratch), Program(Path(scratch) / "jax_cache"), random.Random(options.seed))
        print(f"undisturbed run: {lab.undisturbed.describe()}", flush=True)
        makers = {
            "kills": lambda: kill_cases(lab, options.kills),
            "signals": lambda: signal_cases(lab, options.signals),
            "files": lambda: file_cases(lab),
            "disk": lambda: disk_cases(lab),
        }
        found: dict[str, list[Case]] = {}
        for group in options.only:
            found[group] = []
            for case in makers[group]():
                found[group].append(case)
                print(f"{group:<8} {case.line()}", flush=True)
        run = lab.undisturbed.describe()
    minutes = (time.monotonic() - started) / 60.0
    record = {
        "provenance": about,
        "run": run,
        "seed": options.seed,
        "minutes": round(minutes, 1),
        "groups": {group: [case.record() for case in cases] for group, cases in found.items()},
    }
    write_json(options.out, record)
    text = "\n".join(
        ["", machine_line(about), "", f"Run: {run}. {minutes:.1f} minutes in all.", "", *_tables(found), ""]
    )
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    print(f"written: {options.out} and {options.out.with_suffix('.md')}")
    return 0 if all(case.passed for cases in found.values() for case in cases) else 1


def _tables(found: dict[str, list[Case]]) -> list[str]:
    rows = []
    for group, cases in found.items():
        trials = sum(case.trials for case in cases)
        passed = sum(case.trials for case in cases if case.passed)
        rows.append([GROUPS[group], str(trials), str(passed), str(trials - passed)])
    lines = [table(["what was done", "times", "survived", "not"], rows), ""]
    details = [
        [group, case.name, str(case.trials), "yes" if case.passed else "NO", case.outcome]
        for group, cases in found.items()
        for case in cases
    ]
    return [*lines, table(["group", "case", "times", "survived", "how it ended"], details)]


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="number of SIGKILLs (default 50)")
    parser.add_argument("--signals", type=int, default=4, help="number of SIGTERMs and SIGINTs (default 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default 0)")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--scratch", type=Path, help="folder for the runs (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=RESULTS / "faults.json")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main())
