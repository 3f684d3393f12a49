"""How much faster is projection in one network pass than NetKet's projector around the same network?

Spinless fermions, 6x6, 13 particles, all 36 translations at Gamma, 256 samples: logarithm of the
symmetrised amplitude, and with it the gradient. NetKet (`nk.symmetry.canonical_representation(...).project`)
runs the network on all 36 moved copies of a sample; nnbf runs it once and moves columns of the orbitals
(required: 10 times faster, the same numbers to 1e-10). Of several chunk sizes each side's fastest is taken.

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

from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.space_group import space_group
from nnbf._text import markdown_table as table
from nnbf.ansatz.equivariant import EquivariantBackflow, ProjectedBackflow
from nnbf.ansatz.orbitals import free_orbitals
from nnbf.ansatz.projection import SymmetryElements, projection_plan

MODEL = Lattice("tv", "6x6", 13, V=1.0)
AGREEMENT = 1e-10
SIDES = ("nnbf", "netket")


def main() -> int:
    """Measure, check that both sides agree, keep the result, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--features", type=int, default=16, help="width of the network")
    parser.add_argument("--depth", type=int, default=5, help="convolutions of the network")
    parser.add_argument("--complex", action="store_true", help="complex orbitals; they can be real at Gamma")
    parser.add_argument("--repeats", type=int, default=5, help="warm calls of each side, in turn")
    parser.add_argument("--chunks", type=int, nargs="+", default=[4, 16], help="NetKet's chunk sizes to try")
    parser.add_argument("--own-chunks", type=int, nargs="+", default=[32, 256], help="those of nnbf")
    parser.add_argument("--out", type=Path, default=RESULTS / "lattice_projection.json")
    given = parser.parse_args()
    about = provenance()
    cases = [compare(cell, given) for cell in ((6, 6), (2, 2), (1, 1))]
    settings = {
        key: getattr(given, key)
        for key in ("samples", "features", "depth", "complex", "repeats", "chunks", "own_chunks")
    }
    write_json(given.out, {"settings": settings, "cases": cases, "provenance": about})
    text = report(cases, settings, about)
    given.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\nwritten: {given.out} and {given.out.with_suffix('.md')}")
    return 0 if all(entry["met"] is not False for case in cases for entry in case["rows"]) else 1


def compare(cell: tuple[int, int], given: argparse.Namespace) -> dict[str, Any]:
    """Both sides on the same parameters and samples, for orbitals with one unit cell."""
    backflow = EquivariantBackflow(
        MODEL.size,
        free_orbitals(MODEL, (0, 0), cell=cell, real=not given.complex),
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
    own = lambda p, n: projected.apply({"params": p}, n)  # noqa: E731
    sides: dict[str, Any] = {f"nnbf_{chunk}": (own, parameters, chunk) for chunk in given.own_chunks}
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
            name: functools.partial(function(f, chunk), p, x, weights)
            for name, (f, p, chunk) in sides.items()
        }
        difference = disagreement(*(actions[next(n for n in actions if n.startswith(s))]() for s in SIDES))
        measured = in_turn(actions, given.repeats)
        ours, netkets = (
            min((n for n in measured if n.startswith(side)), key=lambda n: measured[n].best) for side in SIDES
        )
        title = f"{what}, unit cell {cell[0]}x{cell[1]}, {result['determinants']} determinants"
        entry = row(title, measured[ours].best, measured[netkets].best, required)
        chunks = {f"{side}_chunk": int(name.split("_")[1]) for side, name in zip(SIDES, (ours, netkets))}
        entry |= {"difference": difference, **chunks}
        if not difference < AGREEMENT:
            raise SystemExit(f"{title}: the two sides differ by {difference:.1e}, no times to compare")
        result["rows"].append(entry)
        result["timings"][what] = {side: timing.record() for side, timing in measured.items()}
        print(f"{title}: ratio {entry['ratio']:.3g}, difference {difference:.1e}", flush=True)
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


def amplitudes(apply: Any, chunk: int) -> Any:
    """Function (parameters, x, weights) for the logarithms (n,) of the amplitudes, chunk by chunk."""
    evaluate = jax.jit(apply)

    def run(parameters, x, weights):
        return [evaluate(parameters, x[i : i + chunk]) for i in range(0, len(x), chunk)]

    return run


def with_gradient(apply: Any, chunk: int) -> Any:
    """The same with the gradient of Re sum_n weights_n log psi(n)."""

    def total(parameters, x, weights):
        log = apply(parameters, x)
        return jnp.sum(weights * log).real, log

    evaluate = jax.jit(jax.grad(total, has_aux=True))
    add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))

    def run(parameters, x, weights):
        parts = [slice(i, i + chunk) for i in range(0, len(x), chunk)]
        gradients, logs = zip(*(evaluate(parameters, x[part], weights[part]) for part in parts))
        return list(logs), functools.reduce(add, gradients)

    return run


def disagreement(ours: Any, theirs: Any) -> float:
    """Largest relative difference of amplitudes, and of the gradient against its largest entry."""
    (logs, gradient), (others, other_gradient) = (
        (result[0], jax.tree.leaves(result[1])) if isinstance(result, tuple) else (result, [])
        for result in (ours, theirs)
    )
    log, other = np.concatenate(logs), np.concatenate(others)
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
            *(f"{short_time(entry[f'{side}_s'])} (chunks of {entry[f'{side}_chunk']})" for side in SIDES),
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
        f"{MODEL}: {settings['samples']} samples, 36 translations at Gamma; "
        f"{'complex' if settings['complex'] else 'real'} orbitals, network {settings['features']} "
        f"wide, {settings['depth']} convolutions; {cases[0]['n_parameters']} parameters with unit cell 6x6"
    )
    return f"{title}\n\n{table(head, body)}\n\n{machine_line(about)}"


if __name__ == "__main__":
    raise SystemExit(main())
