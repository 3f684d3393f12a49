"""How much faster than stock NetKet is nnbf, on the same machine, model and samples?

Five questions, each answered by both sides in one process or in turn:

a. building the operator of N2/STO-3G from the same integrals (required: 50 times faster);
b. local energies of 512 samples of H2O/6-31G (10 times);
c. one step of stochastic reconfiguration at 1,024 samples, local energies included (10 times);
d. reaching 0.1 mHa on N2/STO-3G from scratch, against ten steps of NetKet's VMC_SR (less time);
e. NetKet's own `MCState.expect` (10 times) and `VMC_SR` step (5 times) on H2O/6-31G when nothing but the
   operator is exchanged; peak memory.

NetKet is used as well as we know how: of its operators, local-energy kernels, chunk sizes and SR
implementations the fastest that gives the same numbers is taken, and named. Values are compared before
times are. Warm times are the best of several calls in turn; first calls include compilation.

    python benchmarks/versus_netket.py            # all, about a quarter of an hour on two cores
    python benchmarks/versus_netket.py a d
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _netket as theirs
import jax
import netket as nk
import numpy as np
from _measure import (
    RESULTS,
    Timing,
    in_turn,
    machine_line,
    provenance,
    read_json,
    row,
    short_amount,
    short_time,
    write_json,
)
from _monte_carlo import child as monte_carlo_child
from _monte_carlo import monte_carlo
from _same_samples import DIAG_SHIFT, Options, local_energies, sr_step
from _water import water

import nnbf
from hamiltonians import build_molecule
from nnbf._text import markdown_table as table

TARGET = 1e-4  # Hartree above FCI


def main() -> int:
    """Answer the questions that were asked, keep the answers, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("questions", nargs="*", metavar="a|b|c|d|e", help="which questions (default: all)")
    parser.add_argument("--repeats", type=int, default=5, help="warm calls of each side, in turn")
    parser.add_argument(
        "--spin-flip",
        choices=("none", "canonical"),
        default="none",
        help="symmetry of the model in b and c; canonical (nnbf's default) halves the work of nnbf alone",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of d; the slowest counts"
    )
    parser.add_argument("--out", type=Path, help="JSON file (default benchmarks/results/versus_netket.json)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, *arguments = given.child.split(":")
        print(json.dumps(CHILDREN[name](*arguments)))
        return 0
    unknown = set(given.questions) - set("abcde")
    if unknown:
        parser.error(f"unknown question {sorted(unknown)[0]!r}: give a, b, c, d or e")
    questions = given.questions or list("abcde")
    options = Options(given.repeats, given.spin_flip)
    suffix = "" if given.spin_flip == "none" else f"_{given.spin_flip}"
    out = given.out or RESULTS / f"versus_netket{suffix}.json"
    about = provenance()
    answers: dict[str, Any] = read_json(out)["answers"] if out.exists() else {}
    found: dict[str, Any] = {}
    if "a" in questions:
        found["a"] = construction(options)
    if set("bce") & set(questions):
        setting = water(options.spin_flip)
        if "b" in questions:
            found["b"] = local_energies(setting, options)
        if "c" in questions:
            found["c"] = sr_step(setting, options)
        if "e" in questions:
            options.scanned = {"b", "c"} <= set(questions)
            found["e"] = monte_carlo(setting, options, in_fresh_process)
    if "d" in questions:
        found["d"] = to_target(given.seeds, options)
    for name, answer in found.items():
        answers[name] = found[name] = {**answer, "provenance": about}
    answers = dict(sorted(answers.items()))
    write_json(out, {"answers": answers})
    out.with_suffix(".md").write_text(report(answers) + "\n", encoding="utf-8")
    print(f"\n{report(found)}\n\nwritten: {out} and {out.with_suffix('.md')}")
    return 0


# ---- a: construction --------------------------------------------------------------------------------


def construction(options: Options) -> dict[str, Any]:
    """Build the operator of N2/STO-3G; every way in a fresh process, so that first calls are first."""
    timings = {}
    for way in ("nnbf", "integrals", "pyscf"):
        timings[way] = Timing(**in_fresh_process(f"construction:{way}:{options.repeats}"))
        print(
            f"a: {way}: first {short_time(timings[way].first_s)}, then {short_time(timings[way].best)}",
            flush=True,
        )
    ways = ("integrals", "pyscf")
    warm, first = min(ways, key=lambda w: timings[w].best), min(ways, key=lambda w: timings[w].first_s)
    ours = timings["nnbf"]
    return {
        "rows": [
            row("operator of N2/STO-3G, warm", ours.best, timings[warm].best, 50),
            row("operator of N2/STO-3G, first call in a process", ours.first_s, timings[first].first_s, 50),
        ],
        "notes": [
            f"NetKet's faster way: warm {_WAYS[warm]}; first call {_WAYS[first]}",
            "nnbf's first call loads numba's compiled code from its cache; NetKet's compiles with JAX",
        ],
        "timings": {name: timing.record() for name, timing in timings.items()},
    }


_WAYS = {
    "integrals": "ParticleNumberAndSpinConservingFermioperator2nd.from_fermionoperator2nd",
    "pyscf": "netket.experimental.operator.from_pyscf_molecule (transforms the integrals itself)",
}


def _child_construction(way: str, repeats: str) -> dict[str, Any]:
    system = build_molecule("N2", "sto-3g", references=False)
    if way == "nnbf":
        action = lambda: _discard(nnbf.MolecularHamiltonian(system.integrals))  # noqa: E731
    elif way == "integrals":
        action = lambda: _discard(theirs.operator_from_integrals(system))  # noqa: E731
    else:
        molecule, mean_field = theirs.pyscf_mean_field(system)
        action = lambda: _discard(theirs.operator_from_pyscf(molecule, mean_field))  # noqa: E731
    timing = in_turn({way: action}, 3 * int(repeats))[way]
    return {"first_s": timing.first_s, "warm_s": timing.warm_s}


def _discard(operator: Any) -> list[Any]:
    # What has to be ready before the clock stops: the arrays of the operator.
    return jax.tree.leaves(getattr(operator, "_operator_data", None))


# ---- d: to 0.1 mHa ----------------------------------------------------------------------------------


def to_target(seeds: list[int], options: Options) -> dict[str, Any]:
    """nnbf to 0.1 mHa and NetKet's ten steps, every run in a fresh process, compilation included."""
    ours = {}
    for seed in seeds:
        ours[seed] = in_fresh_process(f"target:{seed}")
        print(
            f"d: nnbf, seed {seed}: {ours[seed]['to_target_s']:.1f} s, {ours[seed]['steps']} steps",
            flush=True,
        )
    with tempfile.TemporaryDirectory() as empty:
        cold = in_fresh_process(f"target:{seeds[0]}", NUMBA_CACHE_DIR=empty)
    print(f"d: nnbf, seed {seeds[0]}, nothing compiled before: {cold['to_target_s']:.1f} s", flush=True)
    netket = {}
    for kernel, chunk in options.chunks.items():
        netket[kernel] = in_fresh_process(f"steps:{kernel}:{chunk}:{int(options.on_the_fly)}")
        first, later = (netket[kernel][key] for key in ("first_ten_s", "next_ten_s"))
        print(f"d: NetKet, {kernel}, ten steps: {first:.1f} s, ten more: {later:.1f} s", flush=True)
    slowest = max(run["to_target_s"] for run in ours.values())
    rows = []
    for kernel, run in netket.items():
        what = f"N2/STO-3G to 0.1 mHa; NetKet's {kernel} kernel, "
        rows.append(row(what + "first ten steps, compiling", slowest, run["first_ten_s"], 1))
        rows.append(row(what + "next ten steps", slowest, run["next_ten_s"], 1))
    after = netket["padded"]
    return {
        "rows": rows,
        "notes": [
            f"nnbf: the slowest of seeds {', '.join(map(str, seeds))}; from `solve` to the first energy "
            "(variational, an upper bound) within 0.1 mHa of FCI, its operator and compilation with JAX "
            f"included; with numba's cache empty as well {cold['to_target_s']:.1f} s",
            "NetKet: VMC_SR on the same network (not restricted to one irrep: its sampler could not start), "
            "512 samples of its MetropolisFermionHop as it is by default; "
            f"its operator takes {after['operator_s']:.1f} s more. After ten steps its sampled energy is "
            f"{after['energy_after_ten']:.4f} Ha, {after['error_after_ten_mHa']:+.0f} mHa from FCI",
        ],
        "nnbf": {str(seed): run for seed, run in ours.items()},
        "nnbf_empty_cache": cold,
        "netket": netket,
    }


def _child_target(seed: str) -> dict[str, Any]:
    system = build_molecule("N2", "sto-3g")
    exact = system.references["fci"]
    reached: dict[str, Any] = {}
    started = time.perf_counter()

    def on_row(numbers: Mapping[str, Any]) -> None:
        if not reached and numbers["energy"] - exact < TARGET:
            reached.update(
                to_target_s=time.perf_counter() - started,
                steps=numbers["step"],
                error_mHa=1e3 * (numbers["energy"] - exact),
                n_space=numbers["n_space"],
            )

    nnbf.solve(
        system,
        nnbf.SolverOptions(seed=int(seed)),
        monitor=nnbf.drivers.Monitor(on_row, should_stop=lambda: bool(reached)),
    )
    if not reached:
        raise SystemExit(f"seed {seed} did not come within 0.1 mHa of FCI")
    return reached


def _child_steps(kernel: str, chunk: str, on_the_fly: str) -> dict[str, Any]:
    nk.config.netket_experimental_packed_kernel = kernel == "packed"
    system = build_molecule("N2", "sto-3g")
    started = time.perf_counter()
    operator = theirs.operator_from_integrals(system)
    operator_s = time.perf_counter() - started
    hilbert = operator.hilbert
    pairs = np.argwhere(np.tri(hilbert.n_orbitals, k=-1))
    started = time.perf_counter()
    state = nk.vqs.MCState(
        nk.sampler.MetropolisFermionHop(hilbert, clusters=pairs),
        theirs.plain_model(system, nnbf.SolverOptions()),
        n_samples=512,
        seed=0,
        sampler_seed=0,
        chunk_size=int(chunk),
    )
    driver = theirs.sr_driver(
        state, operator, diag_shift=DIAG_SHIFT, on_the_fly=bool(int(on_the_fly)), learning_rate=0.05
    )
    times = []
    energies = []
    for _ in range(2):
        driver.run(10, out=(), show_progress=False)
        jax.block_until_ready(state.parameters)
        times.append(time.perf_counter() - started)
        energies.append(float(np.real(state.expect(operator).mean)))
        started = time.perf_counter()
    exact = system.references["fci"]
    return {
        "operator_s": operator_s,
        "first_ten_s": times[0],
        "next_ten_s": times[1],
        "energy_after_ten": energies[0],
        "error_after_ten_mHa": 1e3 * (energies[0] - exact),
        "error_after_twenty_mHa": 1e3 * (energies[1] - exact),
    }


# ---- processes and the table ------------------------------------------------------------------------

CHILDREN = {
    "construction": _child_construction,
    "target": _child_target,
    "steps": _child_steps,
    "monte_carlo": monte_carlo_child,
}


def in_fresh_process(child: str, **environment: str) -> dict[str, Any]:
    """Run one of `CHILDREN` in a process of its own and return what it found."""
    command = [sys.executable, __file__, "--child", child]
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{child} failed with exit code {done.returncode}: see the messages above")
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(answers: Mapping[str, Any]) -> str:
    """The answers as a Markdown table, with notes and machines below."""
    rows, notes = [], []
    machines: dict[str, list[str]] = {}
    for name, answer in answers.items():
        machines.setdefault(machine_line(answer["provenance"]), []).append(name)
        for entry in answer["rows"]:
            required = entry["required"]
            rows.append(
                [
                    name,
                    entry["what"],
                    short_amount(entry, "nnbf"),
                    short_amount(entry, "netket"),
                    f"{entry['ratio']:.3g}",
                    "" if required is None else f"{required:g}",
                    {None: "", True: "yes", False: "**no**"}[entry["met"]],
                ]
            )
        notes += [f"* {name}: {note}." for note in answer["notes"]]
    notes += [f"* {', '.join(names)}: measured on {machine}." for machine, names in machines.items()]
    heads = ["", "what", "nnbf", "NetKet", "ratio", "required", "met"]
    return table(heads, rows, numbers=(2, 3, 4, 5)) + "\n\n" + "\n".join(notes)


if __name__ == "__main__":
    sys.exit(main())
