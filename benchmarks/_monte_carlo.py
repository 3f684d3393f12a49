"""NetKet's own states and drivers with nnbf's operator and with NetKet's: question e.

Only the operator differs: state, samples, network, driver and chunk size are the same. H2O/6-31G, with
the samples of `_same_samples`.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import _netket as theirs
import jax
import netket as nk
import numpy as np
from _measure import in_turn, row
from _same_samples import DIAG_SHIFT, Options, SrStep, fastest_kernels, fastest_sr, update_difference
from _water import Setting, distinct_rows, water

SIZES = (512, 1024)
RATIOS = {"expect": 10, "VMC_SR": 5}
"""What nnbf's operator has to gain on the kernel that NetKet takes by default."""
SIDES = ("nnbf", "padded", "packed")
"""nnbf's operator, and NetKet's with either of its kernels."""


def monte_carlo(
    setting: Setting, options: Options, in_fresh_process: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """Compare `MCState.expect` and a step of `VMC_SR`; first calls and memory in processes of their own.

    Args:
        setting: Wave function, samples, operators.
        options: Repetitions.
        in_fresh_process: Runs `child` in a process of its own.
    """
    if not options.scanned:
        fastest_kernels(setting, setting.drawn[:512], options)
        fastest_sr(setting, options)
    chunk = options.chunks["padded"]
    rows, timings, agreement = [], {}, {}
    for n in SIZES:
        samples = setting.drawn[:n]
        for name, actions in (
            ("expect", expectations(setting, samples, chunk)),
            ("VMC_SR", steps(setting, samples, chunk, options.on_the_fly)),
        ):
            found = {side: action() for side, action in actions.items()}
            agreement[f"{name}, {n}"] = check(name, found)
            measured = in_turn(actions, options.repeats)
            timings[f"{name}, {n}"] = {side: timing.record() for side, timing in measured.items()}
            what = f"{name}, {n:,} samples ({distinct_rows(samples)} different)"
            for kernel in ("padded", "packed"):
                required = RATIOS[name] if kernel == "padded" else None
                best = {side: measured[side].best for side in measured}
                rows.append(row(f"{what}; NetKet's {kernel} kernel", best["nnbf"], best[kernel], required))
                print(f"e: {rows[-1]['what']}: ratio {rows[-1]['ratio']:.3g}", flush=True)
            if "nnbf SR" in measured:
                rows.append(
                    row(
                        f"nnbf's SR instead of NetKet's, {n:,} samples; VMC_SR with NetKet's padded kernel",
                        measured["nnbf SR"].best,
                        measured["padded"].best,
                        None,
                    )
                )
    children = {}
    for side in SIDES:
        key = f"monte_carlo:{side}:{SIZES[-1]}:{chunk}:{int(options.on_the_fly)}"
        children[side] = in_fresh_process(key)
        print(f"e: {side}: {children[side]}", flush=True)
    for kernel in ("padded", "packed"):
        first = (children[side]["first_s"] for side in ("nnbf", kernel))
        what = f"VMC_SR, {SIZES[-1]:,} samples, first step in a process, compiling; NetKet's {kernel} kernel"
        rows.append(row(what, *first, None))
    for kernel in ("padded", "packed"):
        peaks = (children[side]["peak_MB"] for side in ("nnbf", kernel))
        what = f"peak memory of a process with VMC_SR steps, {SIZES[-1]:,} samples; NetKet's {kernel} kernel"
        rows.append(row(what, *peaks, 1 if kernel == "padded" else None, unit="MB"))
    return {
        "rows": rows,
        "notes": [
            "expect is MCState.expect, VMC_SR is compute_loss_and_update of nk.driver.VMC_SR: same state, "
            f"samples, chunk_size {chunk}, mode='real', use_ntk=True, on_the_fly={options.on_the_fly}; only "
            "the operator differs. What both have in common (Jacobian, its product with itself, solution) "
            "bounds the ratio of VMC_SR",
            f"largest relative difference of energies and updates: {max(agreement.values()):.1e}",
        ],
        "timings": timings,
        "processes": children,
        "relative_difference": agreement,
    }


def expectations(setting: Setting, samples: np.ndarray, chunk: int) -> dict[str, Callable[[], Any]]:
    """Energy of given samples by either operator."""
    state = setting.netket_state(samples, chunk)
    actions: dict[str, Callable[[], Any]] = {"nnbf": lambda: state.expect(setting.hamiltonian).mean}
    for kernel in ("padded", "packed"):
        actions[kernel] = theirs.with_kernel(
            lambda: state.expect(setting.operator).mean, packed=kernel == "packed"
        )
    return actions


def steps(
    setting: Setting, samples: np.ndarray, chunk: int, on_the_fly: bool
) -> dict[str, Callable[[], Any]]:
    """Updates of `VMC_SR` by either operator, and nnbf's own."""
    actions: dict[str, Callable[[], Any]] = {}
    for side in SIDES:
        driver = sr_driver(setting, side, samples, chunk, on_the_fly)
        actions[side] = theirs.whole_step(driver, packed=side == "packed")
    actions["nnbf SR"] = SrStep(setting, samples).whole
    return actions


def sr_driver(setting: Setting, side: str, samples: np.ndarray, chunk: int, on_the_fly: bool) -> Any:
    """`VMC_SR` on given samples; ``side`` says whose operator."""
    state = setting.netket_state(samples, chunk)
    operator = setting.hamiltonian if side == "nnbf" else setting.operator
    return theirs.sr_driver(state, operator, diag_shift=DIAG_SHIFT, on_the_fly=on_the_fly)


def check(name: str, found: dict[str, Any]) -> float:
    """Largest relative difference between the sides' values."""
    if name == "expect":
        differences = [abs(found[side] - found["nnbf"]) / abs(found["nnbf"]) for side in SIDES[1:]]
    else:
        differences = [update_difference(found[side], found["nnbf"]) for side in SIDES[1:]]
        # NetKet's gradient has the factor two of dE/dtheta, and its optimiser subtracts.
        ours = jax.tree.map(lambda leaf: -2.0 * leaf, found["nnbf SR"])
        differences.append(update_difference(ours, found["nnbf"]))
    worst = float(max(differences))
    if not worst < 1e-6:
        raise SystemExit(f"{name}: the results differ by {worst:.1e}: no times to compare")
    return worst


def child(side: str, n: str, chunk: str, on_the_fly: str) -> dict[str, Any]:
    """First and later steps of `VMC_SR` in a process that does nothing else, and its peak memory."""
    nk.config.netket_experimental_packed_kernel = side == "packed"
    setting = water("none")
    driver = sr_driver(setting, side, setting.drawn[: int(n)], int(chunk), bool(int(on_the_fly)))
    times = []
    for _ in range(3):
        started = time.perf_counter()
        jax.block_until_ready(driver.compute_loss_and_update()[1])
        times.append(time.perf_counter() - started)
    # Kilobytes on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"first_s": times[0], "warm_s": min(times[1:]), "peak_MB": peak}
