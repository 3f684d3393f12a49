"""How much faster than stock NetKet is nnbf, on the same machine, model and samples?

Four questions, each answered by both sides in one process or in turn:

a. building the operator of N2/STO-3G from the same integrals (required: 50 times faster);
b. local energies of 512 samples of H2O/6-31G (10 times);
c. one step of stochastic reconfiguration at 1,024 samples, local energies included (10 times);
d. reaching 0.1 mHa on N2/STO-3G from scratch, against ten steps of NetKet's VMC_SR (less time).

NetKet is used as well as we know how: of its operators, local-energy kernels, chunk sizes and SR
implementations the fastest that gives the same numbers is taken, and named. Values are compared before
times are. Warm times are the best of several calls in turn; first calls include compilation.

    python benchmarks/versus_netket.py            # all, about ten minutes on two cores
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import nnbf  # noqa: E402

nnbf.SelectedState  # noqa: B018 - double precision is switched on before NetKet makes an array

import jax  # noqa: E402
import netket as nk  # noqa: E402
import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402

import _netket as theirs  # noqa: E402
from _measure import (  # noqa: E402
    RESULTS,
    Timing,
    in_turn,
    machine_line,
    provenance,
    read_json,
    short_time,
    write_json,
)
from hamiltonians import build_molecule  # noqa: E402
from nnbf.determinants import (  # noqa: E402
    pack_occupations,
    spin_flip_representatives,
    unpack_occupations,
)
from nnbf.drivers import make_model  # noqa: E402
from nnbf.optimize import TangentProblem  # noqa: E402

DIAG_SHIFT = 1e-3
TARGET = 1e-4  # Hartree above FCI


@dataclass
class Options:
    """What the command line says, and what was found to be NetKet's best."""

    repeats: int
    spin_flip: str
    chunk: int = 8192
    packed: bool = True
    on_the_fly: bool = False


def main() -> int:
    """Answer the questions that were asked, keep the answers, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", metavar="a|b|c|d", help="which questions (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="warm calls of each side, in turn")
    parser.add_argument(
        "--spin-flip",
        choices=("none", "canonical"),
        default="none",
        help="symmetry of the model in b and c; canonical, nnbf's default, halves nnbf's work and not NetKet's",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of d; the slowest counts")
    parser.add_argument("--out", type=Path, help="JSON file (default benchmarks/results/versus_netket.json)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, *arguments = given.child.split(":")
        print(json.dumps(CHILDREN[name](*arguments)))
        return 0
    unknown = set(given.questions) - set("abcd")
    if unknown:
        parser.error(f"unknown question {sorted(unknown)[0]!r}: give a, b, c or d")
    questions = given.questions or list("abcd")
    options = Options(given.repeats, given.spin_flip)
    suffix = "" if given.spin_flip == "none" else f"_{given.spin_flip}"
    out = given.out or RESULTS / f"versus_netket{suffix}.json"
    about = provenance()
    answers: dict[str, Any] = read_json(out)["answers"] if out.exists() else {}
    found: dict[str, Any] = {}
    if "a" in questions:
        found["a"] = construction(options)
    if "b" in questions or "c" in questions:
        setting = water(options)
        if "b" in questions:
            found["b"] = local_energies(setting, options)
        if "c" in questions:
            found["c"] = sr_step(setting, options)
    if "d" in questions:
        found["d"] = to_target(given.seeds, options)
    for name, answer in found.items():
        answers[name] = {**answer, "provenance": about}
    write_json(out, {"answers": dict(sorted(answers.items()))})
    text = report(found)
    print("\n" + machine_line(about) + "\n\n" + text + f"\n\nwritten: {out}")
    return 0


def row(what: str, ours: float, netket: float, required: float | None) -> dict[str, Any]:
    """One line of the table: times in seconds, and whether the required ratio was met."""
    ratio = netket / ours
    met = None if required is None else bool(ratio >= required)
    return {"what": what, "nnbf_s": ours, "netket_s": netket, "ratio": ratio, "required": required, "met": met}


def say(text: str) -> None:
    """Progress."""
    print(text, flush=True)


# ---- a: construction --------------------------------------------------------------------------------


def construction(options: Options) -> dict[str, Any]:
    """Build the operator of N2/STO-3G; every way in a fresh process, so that first calls are first."""
    timings = {}
    for way in ("nnbf", "integrals", "pyscf"):
        timings[way] = Timing(**in_fresh_process(f"construction:{way}:{options.repeats}"))
        say(f"a: {way}: first {short_time(timings[way].first_s)}, then {short_time(timings[way].best)}")
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
    "integrals": "ParticleNumberAndSpinConservingFermioperator2nd from FermionOperator2nd of the same integrals",
    "pyscf": "netket.experimental.operator.from_pyscf_molecule (transforms the integrals itself)",
}


def _child_construction(way: str, repeats: str) -> dict[str, Any]:
    system = build_molecule("N2", "sto-3g", compute_references=False)
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


# ---- b and c: H2O/6-31G -----------------------------------------------------------------------------


@dataclass
class Setting:
    """A partly trained wave function of H2O/6-31G and samples of it."""

    hamiltonian: Any
    operator: Any
    """NetKet's."""
    state: Any
    """nnbf's state, whose parameters both sides use."""
    drawn: np.ndarray
    """(1024, 2M) occupations drawn by NetKet's Metropolis sampler."""
    distinct: np.ndarray
    """(1024, 2M) occupations, all different: drawn from |psi|^2 on V without replacement."""

    def netket_state(self, samples: np.ndarray, options: Options) -> Any:
        """NetKet's state with the same parameters and given samples."""
        return theirs.state_at(
            self.hamiltonian.hilbert, self.state.model, self.state.variables, samples, options.chunk
        )


def water(options: Options) -> Setting:
    """Train a little (ten Rayleigh-Gauss-Newton steps, at most 4,096 determinants), then draw samples."""
    system = build_molecule("H2O", "6-31g", compute_references=False)
    hamiltonian = nnbf.MolecularHamiltonian(system.integrals)
    model = make_model(system, nnbf.SolverOptions(spin_flip=options.spin_flip))
    state = nnbf.SelectedState(hamiltonian, model, seed=0)
    driver = nnbf.SelectedSpaceDriver(state, growth=nnbf.Growth(max_size=4096))
    driver.run(10, out=(), show_progress=False)
    drawn = theirs.draw_samples(hamiltonian.hilbert, model, state.variables, 1024, seed=0)
    probability = state.amplitudes() ** 2
    chosen = np.random.default_rng(0).choice(
        len(probability), 1024, replace=False, p=probability / probability.sum()
    )
    distinct = unpack_occupations(state.determinants[chosen], hamiltonian.n_orbitals)
    operator = theirs.operator_from_integrals(system)
    say(
        f"b, c: H2O/6-31G, {state.n_parameters:,} parameters; {distinct_rows(drawn)} different determinants "
        f"in 1,024 samples, {distinct_rows(drawn[:512])} in the first 512"
    )
    return Setting(hamiltonian, operator, state, drawn, distinct)


def distinct_rows(samples: np.ndarray) -> int:
    """Number of different rows."""
    return len(np.unique(samples, axis=0))


def local_energies(setting: Setting, options: Options) -> dict[str, Any]:
    """Local energies of 512 samples, as drawn and all different."""
    scan = fastest_kernel(setting, setting.drawn[:512], options)
    rows, timings, agreement = [], {}, {}
    for name, samples in (("drawn", setting.drawn[:512]), ("distinct", setting.distinct[:512])):
        flip = setting.state.spin_flip
        ours = lambda s=samples, f=flip: nnbf.local_energies(  # noqa: E731
            setting.hamiltonian, setting.state.signed_log, s, spin_flip=f
        )
        netket = theirs.local_energies(
            setting.netket_state(samples, options), setting.operator, packed=options.packed
        )
        agreement[name] = relative_difference(ours(), np.real(np.ravel(netket())))
        if not agreement[name] < 1e-8:
            raise SystemExit(f"local energies differ by {agreement[name]:.1e}: no times to compare")
        both = in_turn({"nnbf": ours, "netket": netket}, options.repeats)
        timings[name] = {side: timing.record() for side, timing in both.items()}
        what = f"local energies of 512 samples, H2O/6-31G, {distinct_rows(samples)} different"
        required = 10 if name == "drawn" else None
        rows.append(row(what, both["nnbf"].best, both["netket"].best, required))
        say(f"b: {name}: {short_time(both['nnbf'].best)} against {short_time(both['netket'].best)}")
    return {
        "rows": rows,
        "notes": [
            f"largest relative difference of the values: {max(agreement.values()):.1e}",
            f"NetKet's fastest kernel: {'packed (experimental)' if options.packed else 'padded (default)'}, "
            f"chunk_size={options.chunk}; its operator pads to {setting.operator.max_conn_size} connections",
        ],
        "netket_kernels_s": scan,
        "timings": timings,
        "relative_difference": agreement,
        "spin_flip": options.spin_flip,
    }


def fastest_kernel(setting: Setting, samples: np.ndarray, options: Options) -> dict[str, float]:
    """Find NetKet's fastest kernel and chunk size for these samples, and remember them in `options`."""
    scan = {}
    for packed in (True, False):
        for chunk in (2048, 8192, 32768):
            options.chunk = chunk
            state = setting.netket_state(samples, options)
            action = theirs.local_energies(state, setting.operator, packed=packed)
            timing = in_turn({"netket": action}, 2)["netket"]
            scan[packed, chunk] = timing.best
            say(f"b: NetKet, {'packed' if packed else 'padded'}, chunk {chunk}: {short_time(timing.best)}")
    options.packed, options.chunk = min(scan, key=scan.__getitem__)
    return {f"{'packed' if packed else 'padded'}, chunk {chunk}": best for (packed, chunk), best in scan.items()}


def relative_difference(left: np.ndarray, right: np.ndarray) -> float:
    """Largest relative difference of two arrays."""
    return float(np.max(np.abs(left - right) / np.abs(right)))


def sr_step(setting: Setting, options: Options) -> dict[str, Any]:
    """One step of stochastic reconfiguration: local energies, kernel, solution, update of the parameters."""
    nk.config.netket_experimental_packed_kernel = options.packed
    scan = fastest_sr(setting, options)
    rows, timings, agreement = [], {}, {}
    for name, samples in (("drawn", setting.drawn), ("distinct", setting.distinct)):
        driver = theirs.sr_driver(
            setting.netket_state(samples, options),
            setting.operator,
            diag_shift=DIAG_SHIFT,
            on_the_fly=options.on_the_fly,
        )
        energies = driver.state.local_estimators(setting.operator).data
        ours = SrStep(setting.hamiltonian, setting.state, samples)
        actions = {
            "nnbf": ours.whole,
            "netket": lambda d=driver: d.compute_loss_and_update()[1],
            "nnbf update": ours.update,
            "netket update": theirs.sr_update(driver, energies),
        }
        # NetKet's gradient has the factor two of dE/dtheta, and its optimiser subtracts.
        agreement[name] = update_difference(ours.whole(), jax.tree.map(lambda x: -0.5 * x, actions["netket"]()))
        if not agreement[name] < 1e-6:
            raise SystemExit(f"the updates differ by {agreement[name]:.1e}: no times to compare")
        both = in_turn(actions, options.repeats)
        timings[name] = {side: timing.record() for side, timing in both.items()}
        count = distinct_rows(samples)
        what = f"SR step at 1,024 samples, H2O/6-31G, {count} different"
        rows.append(row(what, both["nnbf"].best, both["netket"].best, 10 if name == "drawn" else None))
        what = f"... of it the update, local energies known, {count} different"
        rows.append(row(what, both["nnbf update"].best, both["netket update"].best, None))
        say(f"c: {name}: {short_time(both['nnbf'].best)} against {short_time(both['netket'].best)}")
    return {
        "rows": rows,
        "notes": [
            f"relative difference of the updates: {max(agreement.values()):.1e} (diagonal shift {DIAG_SHIFT})",
            "nnbf: counting repeated samples, local energies, gradient factors, kernel, Cholesky solution, update "
            "of the parameters and its norm; NetKet: compute_loss_and_update of VMC_SR: local energies, their "
            "statistics, Jacobian or kernel, Cholesky solution, update. Neither: sampling, adding the update",
            f"NetKet's faster way: use_ntk=True, mode='real', on_the_fly={options.on_the_fly}",
        ],
        "netket_implementations_s": scan,
        "timings": timings,
        "relative_difference": agreement,
        "spin_flip": options.spin_flip,
    }


class SrStep:
    """nnbf's SR step on given samples: different determinants with their counts as weights."""

    def __init__(self, hamiltonian: Any, state: Any, samples: np.ndarray):
        """Collect the pieces; plain SR, so that the update can be compared with NetKet's."""
        self.hamiltonian, self.state, self.samples = hamiltonian, state, samples
        self.optimizer = nnbf.StochasticReconfiguration(
            learning_rate=1.0, diag_shift=DIAG_SHIFT, momentum=0.0, max_step=np.inf
        )
        self.carried = self.optimizer.init(state.parameters)

    def whole(self) -> Any:
        """The update of the parameters, from nothing but the samples."""
        self.count()
        self.energies = nnbf.local_energies(
            self.hamiltonian, self.state.signed_log, self.unique, spin_flip=self.state.spin_flip
        )
        return self.update()

    def count(self) -> None:
        """Find the different determinants (with spin flip: pairs) and their weights."""
        determinants = pack_occupations(self.samples)
        if self.state.spin_flip:
            determinants = spin_flip_representatives(determinants)
        rows, counts = np.unique(determinants, axis=0, return_counts=True)
        self.state.set_determinants(rows)
        self.unique = unpack_occupations(rows, self.hamiltonian.n_orbitals)
        self.weights = counts / counts.sum()

    def update(self) -> Any:
        """The update of the parameters where weights and local energies are known."""
        amplitudes = np.sqrt(self.weights)
        n = len(amplitudes)
        # Only sampled determinants have an amplitude: H enters by the local energies, not as a matrix.
        nothing = scipy.sparse.csr_matrix((n, n))
        problem = TangentProblem(
            self.state.gradient_factors(),
            self.state.parameters,
            amplitudes,
            nothing,
            amplitudes * self.energies,
        )
        return self.optimizer.propose(problem, self.carried)[0].update


def fastest_sr(setting: Setting, options: Options) -> dict[str, float]:
    """Find NetKet's faster kernel-form SR, and remember it in `options`."""
    scan = {}
    for on_the_fly in (False, True):
        driver = theirs.sr_driver(
            setting.netket_state(setting.drawn, options),
            setting.operator,
            diag_shift=DIAG_SHIFT,
            on_the_fly=on_the_fly,
        )
        energies = driver.state.local_estimators(setting.operator).data
        scan[on_the_fly] = in_turn({"netket": theirs.sr_update(driver, energies)}, 2)["netket"].best
        say(f"c: NetKet, update alone, on_the_fly={on_the_fly}: {short_time(scan[on_the_fly])}")
    options.on_the_fly = min(scan, key=scan.__getitem__)
    return {f"on_the_fly={name}": best for name, best in scan.items()}


def update_difference(left: Any, right: Any) -> float:
    """Norm of the difference of two parameter trees over the norm of one."""
    square = lambda tree: sum(float(np.vdot(x, x)) for x in jax.tree.leaves(tree))  # noqa: E731
    return float(np.sqrt(square(jax.tree.map(lambda a, b: a - b, left, right)) / square(right)))


# ---- d: to 0.1 mHa ----------------------------------------------------------------------------------


def to_target(seeds: list[int], options: Options) -> dict[str, Any]:
    """nnbf to 0.1 mHa and NetKet's ten steps, every run in a fresh process, compilation included."""
    ours = {}
    for seed in seeds:
        ours[seed] = in_fresh_process(f"target:{seed}")
        say(f"d: nnbf, seed {seed}: {ours[seed]['to_target_s']:.1f} s, {ours[seed]['steps']} steps")
    with tempfile.TemporaryDirectory() as empty:
        cold = in_fresh_process(f"target:{seeds[0]}", NUMBA_CACHE_DIR=empty)
    say(f"d: nnbf, seed {seeds[0]}, nothing compiled before: {cold['to_target_s']:.1f} s")
    netket = in_fresh_process(f"steps:{options.chunk}:{int(options.packed)}:{int(options.on_the_fly)}")
    say(f"d: NetKet, ten steps: {netket['first_ten_s']:.1f} s, ten more: {netket['next_ten_s']:.1f} s")
    slowest = max(run["to_target_s"] for run in ours.values())
    return {
        "rows": [
            row("N2/STO-3G to 0.1 mHa, against NetKet's ten steps, both compiling", slowest, netket["first_ten_s"], 1),
            row("N2/STO-3G to 0.1 mHa, against NetKet's next ten steps", slowest, netket["next_ten_s"], 1),
        ],
        "notes": [
            f"nnbf: the slowest of seeds {', '.join(map(str, seeds))}, operator and compilation included, from "
            f"`solve` to the first energy (variational, an upper bound) within 0.1 mHa of FCI; with numba's cache "
            f"empty as well {cold['to_target_s']:.1f} s",
            f"NetKet: VMC_SR, 512 samples of its MetropolisFermionHop with default settings, same model; its "
            f"operator takes {netket['operator_s']:.1f} s more. After ten steps it is at "
            f"{netket['energy_after_ten']:.4f} Ha, {netket['error_after_ten_mHa']:+.0f} mHa from FCI (sampled)",
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

    def on_step(numbers: Mapping[str, Any]) -> None:
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
        on_step=on_step,
        should_stop=lambda: bool(reached),
    )
    if not reached:
        raise SystemExit(f"seed {seed} did not come within 0.1 mHa of FCI")
    return reached


def _child_steps(chunk: str, packed: str, on_the_fly: str) -> dict[str, Any]:
    nk.config.netket_experimental_packed_kernel = bool(int(packed))
    system = build_molecule("N2", "sto-3g")
    started = time.perf_counter()
    operator = theirs.operator_from_integrals(system)
    operator_s = time.perf_counter() - started
    hilbert = operator.hilbert
    pairs = np.argwhere(np.tri(hilbert.n_orbitals, k=-1))
    started = time.perf_counter()
    state = nk.vqs.MCState(
        nk.sampler.MetropolisFermionHop(hilbert, clusters=pairs),
        make_model(system, nnbf.SolverOptions()),
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

CHILDREN = {"construction": _child_construction, "target": _child_target, "steps": _child_steps}


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
    """The answers as a Markdown table, with notes below."""
    from nnbf.report.markdown import table

    rows, notes = [], []
    for name, answer in answers.items():
        for entry in answer["rows"]:
            required = entry["required"]
            rows.append(
                [
                    name,
                    entry["what"],
                    short_time(entry["nnbf_s"]),
                    short_time(entry["netket_s"]),
                    f"{entry['ratio']:.3g}",
                    "" if required is None else f"{required:g}",
                    {None: "", True: "yes", False: "**no**"}[entry["met"]],
                ]
            )
        notes += [f"* {name}: {note}." for note in answer["notes"]]
    heads = ["", "what", "nnbf", "NetKet", "ratio", "required", "met"]
    return table(heads, rows, numbers=(2, 3, 4, 5)) + "\n\n" + "\n".join(notes)


if __name__ == "__main__":
    sys.exit(main())
