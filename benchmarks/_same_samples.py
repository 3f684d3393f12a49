"""Local energies and SR steps of nnbf and NetKet on the same samples of H2O/6-31G: questions b and c."""

import functools
from dataclasses import dataclass, field
from typing import Any

import _netket as theirs
import jax
import numpy as np
import scipy.sparse
from _measure import in_turn, row, short_time
from _water import Setting, distinct_rows

import nnbf
import nnbf.operators
from nnbf.determinants import pack_occupations, spin_flip_representatives, unpack_occupations
from nnbf.optimize import TangentProblem

DIAG_SHIFT = 1e-3


@dataclass
class Options:
    """What the command line says, and what was found to be NetKet's best."""

    repeats: int
    """Warm calls of each side."""
    spin_flip: str
    """Symmetry of the model."""
    chunks: dict[str, int] = field(default_factory=lambda: {"padded": 8192, "packed": 8192})
    """NetKet's kernels of local energies, with their chunk size."""
    on_the_fly: bool = False
    """Which of NetKet's two kernel-form SR implementations."""
    scanned: bool = False
    """True where NetKet's best was looked for."""


def local_energies(setting: Setting, options: Options) -> dict[str, Any]:
    """Local energies of 512 samples, as drawn and all different, against both of NetKet's kernels."""
    scan = fastest_kernels(setting, setting.drawn[:512], options)
    rows, timings, agreement = [], {}, {}
    for name, samples in (("drawn", setting.drawn[:512]), ("distinct", setting.distinct[:512])):
        actions = {"nnbf": functools.partial(our_energies, setting, samples)}
        for kernel, chunk in options.chunks.items():
            state = setting.netket_state(samples, chunk)
            actions[kernel] = theirs.local_energies(state, setting.operator, packed=kernel == "packed")
            difference = relative_difference(our_energies(setting, samples), np.ravel(actions[kernel]()))
            agreement[f"{name}, {kernel}"] = difference
            if not difference < 1e-8:
                raise SystemExit(f"local energies differ by {difference:.1e}: no times to compare")
        measured = in_turn(actions, options.repeats)
        timings[name] = {side: timing.record() for side, timing in measured.items()}
        for kernel in options.chunks:
            what = (
                f"512 local energies, H2O/6-31G, {distinct_rows(samples)} different; NetKet's {kernel} kernel"
            )
            required = 10 if name == "drawn" else None
            rows.append(row(what, measured["nnbf"].best, measured[kernel].best, required))
            print(f"b: {what}: ratio {rows[-1]['ratio']:.3g}", flush=True)
    chunks = ", ".join(f"{kernel} {chunk}" for kernel, chunk in options.chunks.items())
    return {
        "rows": rows,
        "notes": [
            f"largest relative difference of the values: {max(agreement.values()):.1e}",
            "NetKet's padded kernel is what local_estimators takes by default, the packed one its "
            f"experimental option; chunk sizes are the best found ({chunks}); its operator pads to "
            f"{setting.operator.max_conn_size} connections",
        ],
        "netket_kernels_s": scan,
        "timings": timings,
        "relative_difference": agreement,
        "spin_flip": options.spin_flip,
    }


def our_energies(setting: Setting, samples: np.ndarray) -> np.ndarray:
    """nnbf's local energies of samples."""
    state = setting.state
    return nnbf.operators.local_energies(
        setting.hamiltonian, state.signed_log, samples, spin_flip=state.spin_flip
    )


def fastest_kernels(setting: Setting, samples: np.ndarray, options: Options) -> dict[str, float]:
    """Find the best chunk size of each of NetKet's kernels for these samples, and note it in `options`."""
    scan = {}
    for kernel in options.chunks:
        times = {}
        for chunk in (2048, 8192, 32768):
            state = setting.netket_state(samples, chunk)
            action = theirs.local_energies(state, setting.operator, packed=kernel == "packed")
            times[chunk] = in_turn({"netket": action}, 2)["netket"].best
            print(f"b: NetKet, {kernel}, chunk {chunk}: {short_time(times[chunk])}", flush=True)
        options.chunks[kernel] = min(times, key=times.__getitem__)
        scan |= {f"{kernel}, chunk {chunk}": best for chunk, best in times.items()}
    return scan


def relative_difference(left: np.ndarray, right: np.ndarray) -> float:
    """Largest relative difference of two arrays."""
    return float(np.max(np.abs(left - right) / np.abs(right)))


def sr_step(setting: Setting, options: Options) -> dict[str, Any]:
    """One step of stochastic reconfiguration: local energies, kernel, solution, update of the parameters."""
    scan = fastest_sr(setting, options)
    rows, timings, agreement = [], {}, {}
    for name, samples in (("drawn", setting.drawn), ("distinct", setting.distinct)):
        ours = SrStep(setting, samples)
        actions = {"nnbf": ours.whole, "nnbf update": ours.update}
        for kernel, chunk in options.chunks.items():
            driver = netket_driver(setting, samples, chunk, options.on_the_fly)
            actions[kernel] = theirs.whole_step(driver, packed=kernel == "packed")
        actions["netket update"] = theirs.sr_update(
            driver, driver.state.local_estimators(setting.operator).data
        )
        # NetKet's gradient has the factor two of dE/dtheta, and its optimiser subtracts.
        netket = jax.tree.map(lambda leaf: -0.5 * leaf, actions["padded"]())
        agreement[name] = update_difference(ours.whole(), netket)
        if not agreement[name] < 1e-6:
            raise SystemExit(f"the updates differ by {agreement[name]:.1e}: no times to compare")
        measured = in_turn(actions, options.repeats)
        timings[name] = {side: timing.record() for side, timing in measured.items()}
        count = f"{distinct_rows(samples)} different"
        for kernel in options.chunks:
            what = f"SR step at 1,024 samples, H2O/6-31G, {count}; NetKet's {kernel} kernel"
            required = 10 if name == "drawn" else None
            rows.append(row(what, measured["nnbf"].best, measured[kernel].best, required))
            print(f"c: {what}: ratio {rows[-1]['ratio']:.3g}", flush=True)
        what = f"... of it the update where local energies are known, {count}"
        rows.append(row(what, measured["nnbf update"].best, measured["netket update"].best, None))
    return {
        "rows": rows,
        "notes": [
            f"relative difference of the updates, diagonal shift {DIAG_SHIFT}: {max(agreement.values()):.1e}",
            "nnbf's step: counting repeated samples, local energies, gradient factors, kernel, Cholesky "
            "solution, update of the parameters and its norm",
            "NetKet's step: compute_loss_and_update of VMC_SR (local energies, their statistics, Jacobian "
            "or kernel, Cholesky solution, update); neither step samples or adds the update",
            f"NetKet's faster way: use_ntk=True, mode='real', on_the_fly={options.on_the_fly}",
        ],
        "netket_implementations_s": scan,
        "timings": timings,
        "relative_difference": agreement,
        "spin_flip": options.spin_flip,
    }


def netket_driver(setting: Setting, samples: np.ndarray, chunk: int, on_the_fly: bool) -> Any:
    """NetKet's driver on given samples."""
    state = setting.netket_state(samples, chunk)
    return theirs.sr_driver(state, setting.operator, diag_shift=DIAG_SHIFT, on_the_fly=on_the_fly)


class SrStep:
    """nnbf's SR step on given samples: different determinants with their counts as weights."""

    def __init__(self, setting: Setting, samples: np.ndarray):
        """Collect the pieces; plain SR, so that the update can be compared with NetKet's."""
        self.setting, self.state, self.samples = setting, setting.state, samples
        self.optimizer = nnbf.StochasticReconfiguration(
            learning_rate=1.0, diag_shift=DIAG_SHIFT, momentum=0.0, max_step=np.inf
        )
        self.carried = self.optimizer.init(self.state.parameters)

    def whole(self) -> Any:
        """The update of the parameters, from nothing but the samples."""
        self.count()
        self.energies = our_energies(self.setting, self.unique)
        return self.update()

    def count(self) -> None:
        """Find the different determinants (with spin flip: pairs) and their weights."""
        determinants = pack_occupations(self.samples)
        if self.state.spin_flip:
            determinants = spin_flip_representatives(determinants)
        rows, counts = np.unique(determinants, axis=0, return_counts=True)
        self.state.set_determinants(rows)
        self.unique = unpack_occupations(rows, self.setting.hamiltonian.n_orbitals)
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
    """Find NetKet's faster kernel-form SR, and note it in `options`."""
    scan = {}
    for on_the_fly in (False, True):
        driver = netket_driver(setting, setting.drawn, options.chunks["padded"], on_the_fly)
        energies = driver.state.local_estimators(setting.operator).data
        scan[on_the_fly] = in_turn({"netket": theirs.sr_update(driver, energies)}, 2)["netket"].best
        print(f"c: NetKet, update, on_the_fly={on_the_fly}: {short_time(scan[on_the_fly])}", flush=True)
    options.on_the_fly = min(scan, key=scan.__getitem__)
    return {f"on_the_fly={name}": best for name, best in scan.items()}


def update_difference(left: Any, right: Any) -> float:
    """Norm of the difference of two parameter trees over the norm of one."""
    square = lambda tree: sum(float(np.vdot(x, x)) for x in jax.tree.leaves(tree))  # noqa: E731
    return float(np.sqrt(square(jax.tree.map(lambda a, b: a - b, left, right)) / square(right)))
