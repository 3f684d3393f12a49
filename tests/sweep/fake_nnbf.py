"""Stands in for `nnbf`: `molecule NAME --option=value ... --out=DIR` and `resume DIR`, with made-up energies.

It makes `max_steps` steps of FAKE_STEP seconds each. The basis decides what happens: "nonsense" is refused,
"explode" breaks off after a step, "crash" dies without a word. With `--start-from=DIR` the
energy depends on that of the other run.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

SECONDS = float(os.environ.get("FAKE_STEP", "0"))


def write(path, content):
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def main(words):
    if words[0] == "resume":
        folder = Path(words[1])
        options = json.loads((folder / "config.json").read_text())["options"]
    else:
        options = {"molecule": words[1], "basis": "sto-3g", "seed": "0", "max_steps": "3"}
        for word in words[2:]:
            name, _, value = word[2:].partition("=")
            options[name.replace("-", "_")] = value
        if options["basis"] == "nonsense":
            print("warning: guessing\nerror: basis 'nonsense' is unknown: give another\n", file=sys.stderr)
            return 2
        folder = Path(options.pop("out"))
        if "start_from" in options:
            before = json.loads((Path(options["start_from"]) / "result.json").read_text())
            options["begin"] = before["energy"] / 3
        folder.mkdir(parents=True)
        (folder / "system.npz").write_bytes(b"integrals")
        time.sleep(SECONDS)
        options["seed"] = int(options["seed"])
        config = {"command": "molecule", "options": options, "limits": {}, "pid": os.getpid()}
        write(folder / "config.json", config)
    return solve(folder, options)


def solve(folder, options):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append("SIGTERM"))
    signal.signal(signal.SIGINT, lambda *_: os._exit(1) if stopped else stopped.append("SIGINT"))
    history = folder / "history.jsonl"
    made = len(history.read_text().splitlines()) if history.exists() else 0
    energy = -1.0 - 0.01 * int(options["seed"]) - 0.001 * len(options["basis"]) + options.get("begin", 0.0)
    print("working", flush=True)
    for step in range(made, int(options["max_steps"])):
        time.sleep(SECONDS)
        with history.open("a") as stream:
            stream.write(json.dumps({"step": step, "energy": energy + 0.1 / (step + 1)}) + "\n")
        if options["basis"] == "explode":
            print(f"error: the run failed: energies run away; 'nnbf resume {folder}' goes on", flush=True)
            write(folder / "result.json", {"status": "failed"})
            return 1
        if options["basis"] == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if stopped:
            break
    status = "interrupted" if stopped else "converged"
    write(
        folder / "result.json",
        {
            "energy": energy,
            "energy_kind": "full_sum",
            "energy_error": 0.0,
            "estimates": {"full_sum": {"energy": energy, "error": 0.0}, "pt2": {"energy": energy - 1e-4}},
            "references": {"hf": -0.9, "ccsd_t": None, "fci": energy - 2e-4},
            "variance": 1e-6,
            "s_squared": 0.25,
            "observables": {"dipole_debye": {"norm": 1.5}},
            "n_determinants": 12345,
            "n_parameters": 100,
            "n_steps": len(history.read_text().splitlines()),
            "started_from": {"folder": options["start_from"]} if "start_from" in options else None,
            "system": {"n_orbitals": 2, "n_electrons": 2, "fci_dimension": 4},
            "status": status,
            "stopped_by": stopped[0] if stopped else None,
            "wall_time_s": time.perf_counter(),
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
