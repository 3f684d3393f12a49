"""How much faster is projection in one network pass than NetKet's projector around the same network?

Spinless fermions, 6x6, 13 particles, all 36 translations at Gamma, 256 samples: logarithm of the
symmetrised amplitude, and with it the gradient. NetKet (`nk.symmetry.canonical_representation(...).project`)
runs the network on all 36 moved copies of a sample; nnbf runs it once and moves columns of the orbitals
(required: 10 times faster, the same numbers to 1e-10). Of several chunk sizes NetKet's fastest is taken.

Orbitals of the whole lattice need the full sum of 36 determinants; those with a unit cell of 2x2 sites 4,
plane waves one: the last rows say what that saves, against NetKet's projector around the same state.

    python benchmarks/lattice_projection.py
"""

import argparse
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from _measure import RESULTS, in_turn, machine_line, provenance, row, short_time, write_json

from hamiltonians.lattice import LatticeModel
from hamiltonians.space_group import space_group
from nnbf.ansatz.equivariant import EquivariantBackflow, ProjectedBackflow
from nnbf.ansatz.lattice_orbitals import free_orbitals
from nnbf.ansatz.projection import SymmetryElements, projection_plan
from nnbf.report.markdown import table

MODEL = LatticeModel("tv", "6x6", 13, V=1.0)
AGREEMENT = 1e-10


def main() -> int:
    """Measure, check that both sides agree, keep the result, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--features", type=int, default=16, help="width of the network")
    parser.add_argument("--depth", type=int, default=5, help="convolutions of the network")
    parser.add_argument("--repeats", type=int, default=5, help="warm calls of each side, in turn")
    parser.add_argument("--chunks", type=int, nargs="+", default=[8, 32], help="NetKet's chunk sizes to try")
    parser.add_argument("--out", type=Path, default=RESULTS / "lattice_projection.json")
    given = parser.parse_args()
    about = provenance()
    cases = [compare(cell, given) for cell in ((6, 6), (2, 2), (1, 1))]
    settings = {key: getattr(given, key) for key in ("samples", "features", "depth", "repeats", "chunks")}
    write_json(given.out, {"settings": settings, "cases": cases, "provenance": about})
    text = report(cases, settings, about)
    given.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\nwritten: {given.out} and {given.out.with_suffix('.md')}")
    return 0 if all(entry["met"] is not False for case in cases for entry in case["rows"]) else 1


def compare(cell: tuple[int, int], given: argparse.Namespace) -> dict[str, Any]:
    """Both sides on the same parameters and samples, for orbitals with one unit cell."""
    backflow = EquivariantBackflow(
        MODEL.size,
        free_orbitals(MODEL, (0, 0), cell=cell, real=False),
        features=given.features,
        depth=given.depth,
    )
    sector = space_group(MODEL, "C1").sector((0, 0))
    symmetry = SymmetryElements.from_arrays(sector.permutations, sector.phases, sector.weights)
    projected = ProjectedBackflow(backflow, symmetry)
    hilbert = nk.hilbert.SpinOrbitalFermions(MODEL.n_sites, n_fermions=MODEL.n_particles)
    x = jnp.asarray(hilbert.random_state(jax.random.key(1), given.samples))
    # Weights of the logarithms in the sum that is differentiated, as in the force of an optimiser.
    numbers = jax.random.normal(jax.random.key(2), (2, given.samples))
    weights = (numbers[0] + 1j * numbers[1]) / given.samples
    parameters = projected.init(jax.random.key(0), x[:1])["params"]
    apply, theirs = netket_projection(hilbert, backflow, parameters["backflow"])
    sides: dict[str, Any] = {
        "nnbf": (lambda p, n: projected.apply({"params": p}, n), parameters, given.samples)
    }
    sides |= {f"netket_{chunk}": (apply, theirs, chunk) for chunk in given.chunks}
    plan = projection_plan(symmetry, backflow.orbitals, backflow.size, backflow.periodic)
    result: dict[str, Any] = {
        "cell": list(cell),
        "n_parameters": sum(leaf.size for leaf in jax.tree.leaves(parameters)),
        "determinants": int(plan.weights.size),
        "rows": [],
        "timings": {},
    }
    required = 10 if cell == MODEL.size else None
    for what, function in (("amplitude", amplitudes), ("amplitude and gradient", with_gradient)):
        actions = {
            name: functools.partial(jax.jit(functools.partial(function, f, chunk=chunk)), p, x, weights)
            for name, (f, p, chunk) in sides.items()
        }
        difference = disagreement(actions["nnbf"](), actions[f"netket_{given.chunks[0]}"]())
        measured = in_turn(actions, given.repeats)
        fastest = min((name for name in measured if name != "nnbf"), key=lambda name: measured[name].best)
        name = f"{what}, unit cell {cell[0]}x{cell[1]}, {result['determinants']} determinants"
        entry = row(name, measured["nnbf"].best, measured[fastest].best, required)
        entry |= {"difference": difference, "netket_chunk": int(fastest.split("_")[1])}
        if not difference < AGREEMENT:
            raise SystemExit(f"{name}: the two sides differ by {difference:.1e}, no times to compare")
        result["rows"].append(entry)
        result["timings"][what] = {side: timing.record() for side, timing in measured.items()}
        print(f"{name}: ratio {entry['ratio']:.3g}, difference {difference:.1e}", flush=True)
    return result


def netket_projection(hilbert: Any, backflow: EquivariantBackflow, parameters: Any) -> tuple[Any, Any]:
    """NetKet's projected state as a function (parameters, x), and its parameters."""
    graph = nk.graph.Grid(MODEL.size, pbc=True)
    sampler = nk.sampler.MetropolisFermionHop(hilbert, graph=graph)
    state = nk.vqs.MCState(sampler, backflow, variables={"params": parameters})
    translations = nk.symmetry.canonical_representation(hilbert, graph.translation_group())
    projected = translations.project(state, k=(0.0, 0.0))
    fixed = projected.model_state
    apply = projected._apply_fun
    return lambda p, x: apply({"params": p, **fixed}, x), projected.parameters


def amplitudes(apply: Any, parameters: Any, x: jax.Array, weights: jax.Array, *, chunk: int) -> Any:
    """Logarithms (n,) of the amplitudes, chunk by chunk."""
    blocks = x.reshape(-1, chunk, x.shape[-1])
    return jax.lax.map(lambda block: apply(parameters, block), blocks).reshape(-1)


def with_gradient(apply: Any, parameters: Any, x: jax.Array, weights: jax.Array, *, chunk: int) -> Any:
    """Logarithms, and the gradient of Re sum_n weights_n log psi(n), chunk by chunk."""

    def total(p, block, factors):
        log = apply(p, block)
        return jnp.sum(factors * log).real, log

    def step(accumulated, block):
        gradient, log = jax.grad(total, has_aux=True)(parameters, *block)
        return jax.tree.map(jnp.add, accumulated, gradient), log

    blocks = (x.reshape(-1, chunk, x.shape[-1]), weights.reshape(-1, chunk))
    gradient, log = jax.lax.scan(step, jax.tree.map(jnp.zeros_like, parameters), blocks)
    return log.reshape(-1), gradient


def disagreement(ours: Any, theirs: Any) -> float:
    """Largest relative difference of amplitudes, and of the gradient against its largest entry."""
    log, *gradient = (np.asarray(leaf) for leaf in jax.tree.leaves(ours))
    other, *other_gradient = (np.asarray(leaf) for leaf in jax.tree.leaves(theirs))
    largest = float(np.abs(np.expm1(log - other)).max())
    if gradient:
        scale = max(np.abs(leaf).max() for leaf in gradient)
        pairs = zip(gradient, other_gradient, strict=True)
        largest = max(largest, max(float(np.abs(a - b).max()) for a, b in pairs) / scale)
    return largest


def report(cases: list[dict[str, Any]], settings: dict[str, Any], about: dict[str, Any]) -> str:
    """The rows as a table, with the machine."""
    head = ["", "nnbf", "NetKet", "ratio", "required", "largest difference"]
    body = [
        [
            entry["what"],
            short_time(entry["nnbf_s"]),
            f"{short_time(entry['netket_s'])} (chunks of {entry['netket_chunk']})",
            f"{entry['ratio']:.3g}",
            ""
            if entry["required"] is None
            else f"{entry['required']} ({'met' if entry['met'] else 'not met'})",
            f"{entry['difference']:.1e}",
        ]
        for case in cases
        for entry in case["rows"]
    ]
    title = (
        f"{MODEL}: {settings['samples']} samples, 36 translations at Gamma; network {settings['features']} "
        f"wide, {settings['depth']} convolutions, {cases[0]['n_parameters']} parameters with whole-lattice orbitals"
    )
    return f"{title}\n\n{table(head, body)}\n\n{machine_line(about)}"


if __name__ == "__main__":
    raise SystemExit(main())
