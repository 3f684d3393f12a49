"""How many determinants a second does a molecular network evaluate, and how many could a core do?

Kernels (nnbf.ansatz.values, in double and in single precision) against the Flax module, which JAX
compiles, in turn on one core. Seconds are those of the processor, so that others on the machine count
less. The limit is that of the operations that the kernels need at the rate of a large matrix product of
the same precision, plus that of the bytes they move through the second-level cache at the rate of a
copy there.

    taskset -c 0 env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NNBF_NUM_THREADS=1 \\
        XLA_FLAGS=--xla_cpu_multi_thread_eigen=false python benchmarks/amplitudes.py
"""

import argparse
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _measure import RESULTS, machine_line, provenance, write_json

from nnbf._text import markdown_table as table
from nnbf.ansatz import NeuralBackflow
from nnbf.ansatz.values import BLOCK, BackflowValues
from nnbf.determinants import unpack_occupations
from nnbf.states.amplitudes import signed_log

CASES = {
    "Li2O/STO-3G, default network": NeuralBackflow(15, 7, 7, 2, (128,), spin_flip="canonical"),
    "H12 sheet, (64, 64), total spin 0": NeuralBackflow(12, 6, 6, 1, (64, 64), total_spin=0.0),
}
PRECISIONS = {"double": np.float64, "single": np.float32}


def main() -> int:
    """Measure all cases, write the numbers, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--determinants", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "amplitudes.json")
    given = parser.parse_args()
    content: dict[str, Any] = {"provenance": provenance(), "cases": []}
    for name, model in CASES.items():
        content["cases"].append(measured(name, model, given.determinants, given.repeats))
        print(content["cases"][-1], flush=True)
    write_json(given.out, content)
    text = f"{report(content)}\n\n{machine_line(content['provenance'])}\n"
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten: {given.out}, and .md beside it")
    return 0


def measured(name: str, model: NeuralBackflow, n: int, repeats: int) -> dict[str, Any]:
    """Rates, differences and limits of one network."""
    strings = determinants(model, n)
    variables = model.init(jax.random.key(0), inputs(model, strings[:1]))
    evaluators = {key: BackflowValues(model, variables, dtype) for key, dtype in PRECISIONS.items()}
    actions: dict[str, Callable[[], Any]] = {
        "flax": lambda: signed_log(model, variables, strings, lambda x: inputs(model, x)),
        **{key: (lambda values=values: values(strings)) for key, values in evaluators.items()},
        **{f"product, {key}": product(dtype) for key, dtype in PRECISIONS.items()},
        **{f"copy, {key}": copy(dtype) for key, dtype in PRECISIONS.items()},
    }
    seconds = fastest(actions, repeats)
    sign, log_abs = actions["flax"]()
    flops, numbers = work(model, strings)
    case: dict[str, Any] = {
        "case": name,
        "determinants": n,
        "flax_per_s": n / seconds["flax"],
        "flop": flops,
        "precisions": {},
    }
    for key, dtype in PRECISIONS.items():
        found_sign, found = evaluators[key](strings)
        ratio = found_sign * sign * np.exp(found - log_abs)
        rate = REPEATED * 2.0 * EDGE**3 / seconds[f"product, {key}"]
        moved = numbers * np.dtype(dtype).itemsize
        bandwidth = 16 * REPEATED * 2.0 * COPIED / seconds[f"copy, {key}"]
        case["precisions"][key] = {
            "per_s": n / seconds[key],
            "ratio": seconds["flax"] / seconds[key],
            "difference_median": float(np.median(np.abs(ratio - 1.0))),
            "difference_to_largest": float(np.max(np.abs(ratio - 1.0) * np.exp(log_abs - np.max(log_abs)))),
            "bytes": moved,
            "product_gflop_per_s": 1e-9 * rate,
            "copy_gbyte_per_s": 1e-9 * bandwidth,
            "limit_per_s": 1.0 / (flops / rate + moved / bandwidth),
        }
    return case


REPEATED = 4
"""Products in one measurement, and a sixteenth of the copies: the first finds nothing in the cache."""
EDGE = 384
"""Of the matrices whose product gives the rate of operations."""
COPIED = 512 * 1024
"""Bytes of the copy that gives the rate of the cache."""


def product(dtype: Any) -> Callable[[], Any]:
    """A matrix product that stays in the cache."""
    a, b = (np.random.default_rng(k).normal(size=(EDGE, EDGE)).astype(dtype) for k in range(2))
    out = np.empty_like(a)
    return lambda: [np.dot(a, b, out=out) for _ in range(REPEATED)]


def copy(dtype: Any) -> Callable[[], Any]:
    """A copy that stays in the cache."""
    a = np.ones(COPIED // np.dtype(dtype).itemsize, dtype)
    out = np.empty_like(a)
    return lambda: [np.copyto(out, a) for _ in range(16 * REPEATED)]


def fastest(actions: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Least processor seconds of each, taken in turn; the first calls compile."""
    best = dict.fromkeys(actions, np.inf)
    for action in actions.values():
        jax.block_until_ready(action())
    for _ in range(repeats):
        for name, action in actions.items():
            started = time.process_time()
            jax.block_until_ready(action())
            best[name] = min(best[name], time.process_time() - started)
    return best


def determinants(model: NeuralBackflow, n: int) -> np.ndarray:
    """Random bit strings (n, 2) of the sector."""
    rng = np.random.default_rng(1)
    ranks = np.argsort(rng.random((n, 2, model.n_orbitals)), axis=2)
    counts = np.array([model.n_alpha, model.n_beta])[:, None]
    bits = (ranks < counts) * np.uint64(2) ** np.arange(model.n_orbitals, dtype=np.uint64)
    return bits.sum(axis=2, dtype=np.uint64)


def inputs(model: NeuralBackflow, strings: np.ndarray) -> jax.Array:
    """Occupations as the module takes them."""
    return jnp.asarray(unpack_occupations(strings, model.n_orbitals), jnp.float64)


def work(model: NeuralBackflow, strings: np.ndarray) -> tuple[float, float]:
    """Floating-point operations of a determinant, and numbers that it moves through the cache."""
    alpha, beta = strings[:, 0], strings[:, 1]
    n_a, n_b, d = model.n_alpha, model.n_beta, model.n_determinants
    n, widths = n_a + n_b, model.hidden
    if model.total_spin is None:
        rows, columns, added = float(n), d * max(n_a, n_b), float(n)
        eliminated = d * (elimination(n_a, n_a, n_a) + elimination(n_b, n_b, n_b))
    else:
        rows = float(np.bitwise_count(alpha | beta).mean())
        columns, added = d * n, model.n_orbitals - float(np.bitwise_count(alpha ^ beta).mean())
        angles = len(model._rotations()[0])
        eliminated = d * (elimination(n, n + n_b, n_a) + angles * elimination(n_b, n_b, n_b))
    dense = sum(2 * a * b for a, b in pairwise(widths))
    flops = added * widths[0] + dense + 2.0 * widths[-1] * rows * columns + eliminated
    # Layers are written, changed by the activation and read, the last one for every row; rows written, read.
    numbers = 4.0 * sum(widths) + rows * (widths[-1] + 2.0 * columns)
    # Weights, once a block.
    weights = model.n_orbitals * (2 if model.total_spin is None else 1) * widths[-1] * columns
    return flops, numbers + (weights + dense / 2) / BLOCK


def elimination(rows: int, columns: int, steps: int) -> float:
    """Operations of the first steps of Gaussian elimination."""
    return sum(2.0 * (rows - k - 1) * (columns - k - 1) for k in range(steps))


def report(content: Mapping[str, Any]) -> str:
    """The table."""
    head = [
        "network",
        "precision",
        "module, determinants/s",
        "kernels",
        "ratio",
        "kFLOP, kB each",
        "core: GFLOP/s, GB/s",
        "limit",
        "share",
        "difference: median of relative, largest of largest amplitude",
    ]
    body = [
        [
            case["case"],
            key,
            f"{case['flax_per_s']:,.0f}",
            f"{found['per_s']:,.0f}",
            f"{found['ratio']:.1f}",
            f"{1e-3 * case['flop']:.1f}, {1e-3 * found['bytes']:.1f}",
            f"{found['product_gflop_per_s']:.0f}, {found['copy_gbyte_per_s']:.0f}",
            f"{found['limit_per_s']:,.0f}",
            f"{100 * found['per_s'] / found['limit_per_s']:.0f} %",
            f"{found['difference_median']:.0e}, {found['difference_to_largest']:.0e}",
        ]
        for case in content["cases"]
        for key, found in case["precisions"].items()
    ]
    return table(head, body, numbers=range(2, 9))


if __name__ == "__main__":
    raise SystemExit(main())
