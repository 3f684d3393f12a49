"""How fast is nnbf on an accelerator: are its numbers right, and what do they cost?

First amplitudes and local energies are compared with those of the host's kernels on a CPU, which stand in
`data/gpu_values.json`; then rates are measured, with the share of what the device could do at most for the
operations and bytes that XLA counts; then time to accuracy, as far as the minutes go. Systems are files that
`gpu_bundle.py` made: neither PySCF nor a network is needed.

    python benchmarks/gpu.py --systems bundle/systems          # seven minutes on one GPU
    python benchmarks/gpu.py --tiny                            # the same on a CPU, small systems, a minute
    python benchmarks/gpu.py --systems bundle/systems --store  # on a CPU: the values to compare with
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from _measure import RESULTS, machine_line, provenance, read_json, write_json
from gpu_bundle import file_name

from hamiltonians import Lattice, MolecularIntegrals, Molecule, irrep_bits, load_problem, space_group
from nnbf._compute import computing
from nnbf._text import markdown_table as table
from nnbf.ansatz import NeuralBackflow, ansatz_from_spec, contract
from nnbf.ansatz.device_passes import device_log_psi
from nnbf.ansatz.roofline import Peaks, cost, device_peaks, least_seconds, most_per_second
from nnbf.determinants import connected_space, determinant_irreps, spin_flip_representatives
from nnbf.drivers import LatticeOptions, SolverOptions, solve
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
from nnbf.drivers.monitor import Monitor
from nnbf.operators import LatticeHamiltonian, MolecularHamiltonian
from nnbf.operators.device_connections import device_connections
from nnbf.operators.local_energy import energies_of_rows
from nnbf.optimize import RayleighGaussNewton, StochasticReconfiguration
from nnbf.sampling import ExcitationRule, ValueSampler
from nnbf.states import SpaceState, distinct_samples, sampled_step
from nnbf.states.amplitudes import device_at_once, initial_variables
from nnbf.states.markov_chains import chain_sampler

VALUES = Path(__file__).resolve().parent / "data" / "gpu_values.json"
COMPARED = 32
"""Configurations whose values are stored."""
AGREEMENT = 1e-9
"""Largest difference to the stored values, relative to the largest of them."""


@dataclass
class Case:
    """A system, its network, and how accurate it is to become."""

    name: str
    problem: Any
    model: Any
    method: str
    options: Any
    exact: float | None
    target: float | None = None
    """Energy above the exact one at which a run ends; None: no run is made."""
    sector: Any = None

    @cached_property
    def hamiltonian(self) -> Any:
        """The operator."""
        if isinstance(self.problem, Lattice):
            return LatticeHamiltonian(self.problem)
        return MolecularHamiltonian(self.problem.integrals)

    @cached_property
    def variables(self) -> Any:
        """Parameters from a fixed seed."""
        return initial_variables(self.model, jax.random.key(1), jnp.asarray(self.rows(1), float))

    def rows(self, n: int) -> np.ndarray:
        """Random configurations (n, modes) int8 of the reference's irrep, the same on every machine."""
        rng = np.random.default_rng(7)
        size = self.hamiltonian.hilbert.size // len(self.problem.particles)
        found = np.zeros((0, self.hamiltonian.hilbert.size), np.int8)
        while len(found) < n:
            parts = [np.argsort(rng.random((1024, size)), axis=1) < k for k in self.problem.particles]
            rows = np.concatenate(parts, axis=1).astype(np.int8)
            if isinstance(self.problem, Molecule):
                irreps = irrep_bits(self.problem.integrals)
                own = determinant_irreps(self.hamiltonian.reference, irreps)
                rows = rows[determinant_irreps(self.hamiltonian.pack(rows), irreps) == own]
            found = np.concatenate([found, rows])
        return found[:n]

    @property
    def at_once(self) -> int:
        """Configurations of one call of the network."""
        return device_at_once(self.model, self.hamiltonian.n_sites)

    @property
    def per_sample(self) -> bool:
        """True for the networks of lattices."""
        return contract.per_sample(self.model)


def main() -> int:
    """Compare, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", type=Path, default=Path("bundle/systems"))
    parser.add_argument("--tiny", action="store_true", help="small systems")
    parser.add_argument("--only", default="", help="systems whose name has this in it")
    parser.add_argument("--seconds", type=float, default=400.0, help="for everything")
    parser.add_argument("--store", action="store_true", help="write the values of this machine's kernels")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    ends = time.monotonic() + given.seconds
    cases = tiny_cases() if given.tiny else full_cases(given.systems)
    cases = [case for case in cases if given.only in case.name]
    if given.store:
        with computing("host"):
            stored = {case.name: values(case) for case in cases}
        known = read_json(VALUES) if VALUES.exists() else {}
        write_json(VALUES, {**known, **stored})
        return 0
    with computing("device"):
        content = {"provenance": provenance(), "device": device(), "tiny": given.tiny, "cases": {}}
        device_rates = device_peaks(*((512, 1 << 20) if given.tiny else (8192, 1 << 28)))
        content["device"] |= asdict(device_rates)
        for case in cases:
            found = content["cases"][case.name] = {"differences": compared(case)}
            print(f"{case.name}: values agree to {max(found['differences'].values()):.0e}", flush=True)
        for case in cases:
            if time.monotonic() < ends:
                content["cases"][case.name] |= measured(case, device_rates, given.tiny)
        waiting = [case for case in cases if case.target is not None]
        for place, case in enumerate(waiting):
            share = (ends - time.monotonic()) / (len(waiting) - place)
            if share > 5.0:
                content["cases"][case.name]["accuracy"] = reached(case, share)
    text = report(content)
    print(text)
    card = file_name(content["device"]["kind"])
    out = given.out or RESULTS / f"gpu_{'tiny_' if given.tiny else ''}{card}.json"
    write_json(out, content)
    out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(f"written: {out}, and .md beside it")
    return 0


# ---- systems -------------------------------------------------------------------------------------


def full_cases(folder: Path) -> list[Case]:
    """The systems that `gpu_bundle.py` saved, and a lattice."""
    targets = {"Li2O/STO-3G": 3e-4, "H12, sheet 3x4, 1.8 A": 1e-3}
    found = []
    for path in sorted(folder.glob("*.json")):
        saved = read_json(path)
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in saved["options"].items()}
        found.append(
            Case(
                saved["name"],
                load_problem(path.with_suffix(".npz")),
                ansatz_from_spec(saved["network"]),
                saved["method"],
                SolverOptions(**options),
                saved["exact"],
                targets.get(saved["name"]),
            )
        )
    return [*found, lattice_case((6, 6), 13, 10.0, exact=None, target=3e-3)]


def tiny_cases() -> list[Case]:
    """A random molecule and a lattice, both diagonalised."""
    rng = np.random.default_rng(5)
    size, pairs = 6, 21
    two_body, one_body = 0.1 * rng.normal(size=(pairs, pairs)), 0.3 * rng.normal(size=(size, size))
    one_body += np.diag(np.arange(size))
    integrals = MolecularIntegrals(0.5, one_body + one_body.T, two_body + two_body.T, 3, 3)
    molecule = Molecule(integrals)
    model = NeuralBackflow(size, 3, 3, 1, (16,), spin_flip="canonical")
    options = SolverOptions(hidden=(16,), n_determinants=1, tail_steps=0, full_sum_limit=0)
    return [
        Case("random molecule", molecule, model, "selected", options, None, 1e-6),
        lattice_case((3, 2), 2, 2.0, exact=None, target=1e-3),
    ]


def lattice_case(size: tuple[int, int], particles: int, repulsion: float, **more: Any) -> Case:
    """Spinless fermions in the sector of the lowest filling."""
    problem = Lattice("tv", size, particles, V=repulsion)
    sector = space_group(problem).sector((0, 0), None)
    options = LatticeOptions(method="vmc")
    model = make_lattice_ansatz(problem, sector, options, "vmc")
    name = f"t-V {size[0]}x{size[1]}, {particles} particles, V = {repulsion:g}"
    return Case(name, problem, model, "vmc", options, sector=sector, **more)


# ---- values --------------------------------------------------------------------------------------


def values(case: Case) -> dict[str, Any]:
    """|psi| and H psi, but for a sign, of a few configurations, as `computing` says."""
    state, rows = state_of(case, COMPARED), case.rows(COMPARED)
    state._samples = jnp.asarray(rows)[None]
    found = distinct_samples(state, case.hamiltonian)
    logs, local = found.log_abs[found.of_sample], found.local_energies.real[found.of_sample]
    # Beside nodes logarithms and local energies are rounding.
    psi = np.exp(logs - logs.max())
    return {"largest": [float(logs.max())], "psi": psi.tolist(), "h_psi": (local * psi).tolist()}


def compared(case: Case) -> dict[str, float]:
    """Largest differences to the stored values, relative to the largest of these.

    Raises:
        SystemExit: They are too large.
    """
    stored = read_json(VALUES).get(case.name)
    if stored is None:
        raise SystemExit(f"{VALUES} has no values of {case.name}: make them with --store on a CPU")
    found, differences = values(case), {}
    for name, expected in stored.items():
        scale = max(1.0, float(np.abs(expected).max()))
        differences[name] = float(np.abs(np.subtract(found[name], expected)).max() / scale)
    if not max(differences.values()) < AGREEMENT:
        raise SystemExit(f"{case.name}: values differ from the stored ones: {differences}")
    return differences


def state_of(case: Case, n_samples: int) -> nk.vqs.MCState:
    """A state with Markov chains."""
    operator = case.hamiltonian
    if isinstance(case.problem, Lattice):
        sampler = chain_sampler(operator, case.model, n_samples, power=1.4)
    else:
        rule = ExcitationRule.of(operator.integrals, irrep_bits(operator.integrals), operator.tables)
        modes = operator.hilbert.size
        sampler = ValueSampler(operator.hilbert, rule, n_chains=n_samples, sweep_size=modes, dtype=np.int8)
    return nk.vqs.MCState(
        sampler,
        case.model,
        n_samples=n_samples,
        variables=case.variables,
        sampler_seed=1,
        n_discard_per_chain=0,
    )


# ---- rates ---------------------------------------------------------------------------------------


def device() -> dict[str, Any]:
    """What computes."""
    first = jax.devices()[0]
    return {"kind": first.device_kind, "platform": first.platform, "count": jax.device_count()}


def measured(case: Case, peak: Peaks, tiny: bool) -> dict[str, Any]:
    """Rates of one system."""
    found: dict[str, Any] = {}
    n = 512 if tiny else min(1 << 17, 64 * case.at_once)
    rows = jnp.asarray(case.rows(n))
    for name in ("double", "single"):
        single = name == "single"
        seconds = least_seconds(
            lambda single=single: device_log_psi(case.model, case.variables, rows, n, case.at_once, single)
        )
        found[name] = {"determinants_per_s": n / seconds, **roofline(case, rows, peak, single, n / seconds)}
    found["local_energies_per_s"], found["connected"] = local_energy_rate(case, 64 if tiny else 1024)
    state = state_of(case, 64 if tiny else 1024)
    found["samples_s"] = least_seconds(lambda: state.sample(n_discard_per_chain=0), 2)
    optimizer = StochasticReconfiguration(gap=None if isinstance(case.problem, Lattice) else 0.5)

    def sr_step():
        problem = sampled_step(state, case.hamiltonian).problem
        return optimizer.propose(problem, optimizer.init(state.parameters))[0].update

    found["sr_step_s"] = least_seconds(sr_step, 2)
    if not isinstance(case.problem, Lattice):
        found["gauss_newton_step_s"], found["space"] = gauss_newton(case, 64 if tiny else 4096)
    memory = jax.devices()[0].memory_stats() or {}
    found["peak_bytes"] = memory.get("peak_bytes_in_use")
    return found


def roofline(case: Case, rows: jax.Array, peaks: Peaks, single: bool, rate: float) -> dict[str, Any]:
    """Operations and bytes of a configuration as XLA counts them, and the share of the rate they allow."""
    part = rows[: min(case.at_once, len(rows))]
    flop, moved = cost(case.model, case.variables, part, single)
    most = most_per_second(flop, moved, peaks, single)
    return {"flop": flop, "bytes": moved, "share_of_roofline": rate / most}


def local_energy_rate(case: Case, n: int) -> tuple[float, int]:
    """Local energies a second of random configurations, and distinct configurations that they reach."""
    rows_of, rows = case.hamiltonian.device_rows(), jnp.asarray(case.rows(n))
    even = contract.spin_flip_parity(case.model) == 1 and case.hamiltonian.spin_flip_symmetric
    sizes = None
    local = jax.jit(energies_of_rows)

    def energies():
        nonlocal sizes
        found, sizes = device_connections(rows_of, rows, sizes, spin_flip=even)
        connections = found.connections
        logs = device_log_psi(
            case.model, case.variables, connections.occupations, found.counts[3], case.at_once, False
        )
        energies.count = int(found.counts[3])
        return local(logs, connections)

    return n / least_seconds(energies, 2), energies.count


def gauss_newton(case: Case, size: int) -> tuple[float, int]:
    """Seconds of a step on the reference and what it reaches, and their number."""
    operator = case.hamiltonian
    fold = contract.spin_flip_parity(case.model) == 1
    space = operator.reference
    space = spin_flip_representatives(space) if fold else space
    while len(space) < size:
        outside = connected_space(operator.tables, space[:64], np.ones(len(space[:64])), fold).determinants
        more = outside[: size - len(space)]
        known = {row.tobytes() for row in space}
        more = np.array([row for row in more if row.tobytes() not in known], np.uint64)
        if not len(more):
            break
        space = np.concatenate([space, more.reshape(-1, space.shape[1])])
    state = SpaceState(operator, case.model, space, variables=case.variables)
    optimizer = RayleighGaussNewton()

    def step():
        state.reset()
        return optimizer.propose(state.tangent_problem(), optimizer.init(state.parameters))[0].update

    return least_seconds(step, 2), len(space)


# ---- time to accuracy ----------------------------------------------------------------------------


def reached(case: Case, seconds: float) -> dict[str, Any]:
    """A run from scratch, and when its energy first came below the target."""
    assert case.target is not None
    goal = None if case.exact is None else case.exact + case.target
    options = replace(case.options, compute="device")
    if hasattr(options, "time_limit"):
        options = replace(options, time_limit=seconds)
    started, rows = time.monotonic(), []
    monitor = Monitor(rows.append).within(seconds)
    model = None if isinstance(case.problem, Lattice) else case.model
    level = solve(
        case.problem, options, method=case.method, model=model, sector=case.sector, monitor=monitor
    ).lowest
    below = [row["time_s"] for row in rows if goal is not None and row["energy"] <= goal]
    return {
        "energy": level.energy.value,
        "error": level.energy.error,
        "kind": level.energy.kind,
        "above_exact": None if case.exact is None else level.energy.value - case.exact,
        "target": case.target,
        "steps": len(rows),
        "first_below_s": below[0] if below else None,
        "seconds": time.monotonic() - started,
    }


# ---- report --------------------------------------------------------------------------------------


def report(content: Mapping[str, Any]) -> str:
    """The tables."""
    head = ["system", "precision", "determinants/s", "kFLOP, kB each", "share of roofline"]
    head += [
        "local energies/s (reached)",
        "chains (s)",
        "SR step (s)",
        "Gauss-Newton (s; V)",
        "peak memory (GB)",
    ]
    body = [
        row(name, precision, case)
        for name, case in content["cases"].items()
        for precision in ("double", "single")
        if precision in case
    ]
    texts = [table(head, body, numbers=range(2, len(head)))]
    runs = {name: case["accuracy"] for name, case in content["cases"].items() if "accuracy" in case}
    if runs:
        names = ["system", "energy", "error", "above exact", "target", "steps", "first below (s)", "all (s)"]
        lines = [
            [
                *(name, f"{run['energy']:.6f} ({run['kind']})", f"{run['error']:.1e}"),
                "-" if run["above_exact"] is None else f"{run['above_exact']:+.1e}",
                *(f"{run['target']:.0e}", str(run["steps"])),
                "-" if run["first_below_s"] is None else f"{run['first_below_s']:.1f}",
                f"{run['seconds']:.0f}",
            ]
            for name, run in runs.items()
        ]
        texts.append(table(names, lines, numbers=range(2, len(names))))
    found = content["device"]
    texts.append(
        f"{found['count']} x {found['kind']}: {1e-12 * found['double']:.2f} TFLOP/s double, "
        f"{1e-12 * found['single']:.2f} single, {1e-9 * found['moved']:.0f} GB/s. "
        + machine_line(content["provenance"])
    )
    return "\n\n".join(texts)


def row(name: str, precision: str, case: Mapping[str, Any]) -> list[str]:
    """Rates of a system in one precision."""
    rates = case[precision]
    cells = [name, precision, f"{rates['determinants_per_s']:,.0f}"]
    cells += [
        f"{1e-3 * rates['flop']:.1f}, {1e-3 * rates['bytes']:.1f}",
        f"{100 * rates['share_of_roofline']:.0f} %",
    ]
    if precision == "single":
        return [*cells, "", "", "", "", ""]
    newton = f"{case['gauss_newton_step_s']:.2f}; {case['space']:,}" if "space" in case else "-"
    memory = "-" if case["peak_bytes"] is None else f"{1e-9 * case['peak_bytes']:.1f}"
    return [
        *cells,
        f"{case['local_energies_per_s']:,.0f} ({case['connected']:,})",
        *(f"{case['samples_s']:.2f}", f"{case['sr_step_s']:.2f}", newton, memory),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
