"""What do programs of JAX cost on a CPU, next to the compiled kernels that are its default?

Local energies of samples (connections, merging, amplitudes, sums), and the amplitudes alone, with `compute`
host and device in turn, in one process; seconds are those of the processor. Values have to agree to 1e-10.

    python benchmarks/device_path.py                            # the small systems of gpu.py
    python benchmarks/device_path.py --systems bundle/systems   # those that gpu_bundle.py saved
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _measure import RESULTS, machine_line, provenance, write_json
from gpu import Case, full_cases, state_of, tiny_cases

from nnbf._compute import computing
from nnbf._text import markdown_table as table
from nnbf.states import distinct_samples
from nnbf.states.amplitudes import log_psi, model_at_once, signed_log_of_strings

WHERE = ("host", "device")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", type=Path, default=None)
    parser.add_argument("--only", default="", help="systems whose name has this in it")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--determinants", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "device_path.json")
    given = parser.parse_args()
    cases = tiny_cases() if given.systems is None else full_cases(given.systems)
    content: dict[str, Any] = {"provenance": provenance(), "cases": {}}
    for case in cases:
        if given.only in case.name:
            content["cases"][case.name] = measured(case, given)
            print(case.name, content["cases"][case.name], flush=True)
    write_json(given.out, content)
    text = f"{report(content['cases'])}\n\n{machine_line(content['provenance'])}\n"
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten: {given.out}, and .md beside it")
    return 0


def measured(case: Case, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of both, and their difference."""
    state, rows = state_of(case, given.samples), case.rows(given.determinants)
    # Neighbours of each other, as samples of a chain are.
    state.sample(n_discard_per_chain=0)
    strings = case.hamiltonian.pack(rows)
    at_once = model_at_once(case.model, case.hamiltonian.n_sites)

    def energies(where):
        with computing(where):
            found = distinct_samples(state, case.hamiltonian)
        return found.local_energies[found.of_sample], found.evaluations

    def amplitudes(where):
        with computing(where):
            if case.per_sample and where == "host":
                return log_psi(case.model, case.variables, rows, at_once).real, len(rows)
            return signed_log_of_strings(case.hamiltonian, case.model, case.variables, strings)[1], len(rows)

    found: dict[str, Any] = {}
    for name, action in (("local energies", energies), ("amplitudes", amplitudes)):
        values = [action(where) for where in WHERE]
        difference = float(np.abs(values[0][0] - values[1][0]).max() / np.abs(values[0][0]).max())
        assert difference < 1e-10, (case.name, name, difference)
        best = dict.fromkeys(WHERE, np.inf)
        for _ in range(given.repeats):
            for where in WHERE:
                started = time.process_time()
                jax.block_until_ready(jnp.asarray(action(where)[0]))
                best[where] = min(best[where], time.process_time() - started)
        found[name] = {
            **best,
            "ratio": best["device"] / best["host"],
            "difference": difference,
            "evaluations": values[0][1],
        }
    return found


def report(cases: dict[str, Any]) -> str:
    """The table."""
    head = ["system", "what", "configurations", "host (s)", "device (s)", "ratio", "largest difference"]
    body = [
        [
            *(name, what, f"{found['evaluations']:,}", f"{found['host']:.3f}", f"{found['device']:.3f}"),
            *(f"{found['ratio']:.2f}", f"{found['difference']:.0e}"),
        ]
        for name, case in cases.items()
        for what, found in case.items()
    ]
    return table(head, body, numbers=range(2, len(head)))


if __name__ == "__main__":
    raise SystemExit(main())
