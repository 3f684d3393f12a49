"""Amplitudes of :class:`~nnbf.ansatz.NeuralBackflow` without derivatives, by kernels on bit strings.

A pass of the network as JAX makes it computes all orbitals and picks the occupied ones, and factors every
small matrix by a call of LAPACK. Here the first layer is a sum of the rows that a bit string selects, the
last layer makes occupied rows only, and matrices are eliminated side by side. Derivatives stay with JAX.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from nnbf.ansatz.backflow import NeuralBackflow
from nnbf.ansatz.value_kernels import (
    LANES,
    PANEL,
    TILE,
    dense_layer,
    first_layer,
    occupied_rows,
    sums_of_determinants,
)
from nnbf.determinants.configurations import (
    determinant_irreps,
    multiplicities,
    spin_flip,
    spin_flip_representatives,
)
from nnbf.determinants.parallel import map_row_blocks

#: Determinants of one pass: what a layer makes of them stays in the second-level cache.
BLOCK = 256
#: ... and of one task of a thread.
TASK = 8 * BLOCK


def _silu(x):
    with np.errstate(over="ignore", invalid="ignore"):
        x /= 1.0 + np.exp(-x)


_IN_PLACE: dict[Callable, Callable[[np.ndarray], Any]] = {
    nn.tanh: lambda x: np.tanh(x, out=x),
    nn.silu: _silu,
    nn.relu: lambda x: np.maximum(x, 0.0, out=x),
}


class BackflowValues:
    """Sign and log|psi| of determinants, for one set of parameters."""

    def __init__(self, model: NeuralBackflow, variables: Mapping[str, Any], dtype: Any = None):
        """Lay the parameters out.

        Args:
            model: A network that :func:`has_values`.
            variables: Its variables.
            dtype: Precision of the layers, that of the parameters by default; determinants and sums of them
                are always in double precision.
        """
        self._model = model
        self._dtype = np.dtype(model.param_dtype if dtype is None else dtype)
        self._by_charge = model.total_spin is not None
        with np.errstate(invalid="ignore", over="ignore"):  # parameters need not be finite
            self._lay_out(variables)

    def _lay_out(self, variables):
        model = self._model
        kernels, biases = _used(model, variables["params"])
        self._base, self._table = self._first(kernels[0], biases[0])
        self._dense = [
            (self._panels(kernel), len(kernel), self._padded(bias))
            for kernel, bias in zip(kernels[1:-1], biases[1:-1], strict=True)
        ]
        orbitals = self._by_orbital(kernels[-1])
        self._orbitals = _aligned(np.stack([self._panels(of_orbital) for of_orbital in orbitals]))
        self._depth = orbitals.shape[1]
        constants = self._by_orbital(biases[-1][None])[:, 0]
        self._bias = np.pad(constants, [(0, 0), (0, -constants.shape[1] % PANEL)])
        self._rotations = self._angles() if self._by_charge else np.zeros((0, 3))

    def __call__(self, determinants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sign (0 where psi is) and log|psi|, each (n,), of bit strings (n, 2 W) of the model's sector.

        Nothing depends on the number of threads, nor a value on the others that are asked for with it.
        """
        model = self._model
        given = determinants
        if model.is_folded:
            determinants = spin_flip_representatives(determinants)
        words = np.ascontiguousarray(determinants, np.uint64)
        sign, log_abs = self._of(words)
        if model.spin_flip == "odd":
            sign = np.where(np.any(words != given, axis=1), -sign, sign)
            log_abs[multiplicities(words) == 1.0] = -np.inf
        if model.spin_flip == "average":
            sign, log_abs = _sum_of_two(sign, log_abs, *self._of(spin_flip(words)))
        if model.orbital_irreps is not None and any(model.orbital_irreps):
            log_abs[~self._in_reference_irrep(words)] = -np.inf
        return sign, log_abs

    def _of(self, words):
        sign, log_abs = np.empty(len(words)), np.empty(len(words))
        map_row_blocks(lambda lo, hi: self._task(words[lo:hi], sign[lo:hi], log_abs[lo:hi]), len(words), TASK)
        return sign, log_abs

    def _task(self, words, sign, log_abs):
        model, size = self._model, min(BLOCK, len(words))
        n = model.n_alpha + model.n_beta
        padded = -(-size // TILE) * TILE
        widths = [self._base.size, *(len(bias) for _, _, bias in self._dense)]
        layers = [_zeros((padded, width), self._dtype) for width in widths]
        rows = _zeros((size + 1, n, self._orbitals.shape[1] * PANEL), np.float64)
        scratch = _zeros((2, n * 2 * n * LANES), np.float64)
        electrons, slots = np.empty((size, n + 1), np.int64), np.empty((size, n), np.int64)
        blocked = model.blocked and not self._by_charge
        for lo in range(0, len(words), size):
            part = words[lo : lo + size]
            m = len(part)
            args = (part, model.n_orbitals, self._by_charge, self._base, self._table, layers[0], electrons)
            first_layer(*args)
            _IN_PLACE[model.activation](layers[0])
            for (panels, depth, bias), x, out in zip(self._dense, layers[:-1], layers[1:], strict=True):
                dense_layer(x, panels, depth, bias, out)
                _IN_PLACE[model.activation](out)
            occupied_rows(
                electrons[:m],
                model.n_orbitals,
                self._by_charge,
                layers[-1],
                self._orbitals,
                self._depth,
                self._bias,
                rows[: m + 1],
                slots[:m],
            )
            sums_of_determinants(
                rows[: m + 1],
                slots[:m],
                model.n_alpha,
                blocked,
                model.n_determinants,
                self._rotations,
                scratch,
                sign[lo : lo + m],
                log_abs[lo : lo + m],
            )

    def _angles(self):
        """Squared tangents, factors and logarithms (A, 3) of the rotations."""
        cosines, sines, weights = self._model._rotations()
        powers = (self._model.n_alpha + self._model.n_beta) * np.log(cosines)
        small = powers < -100.0
        factors = weights * np.exp(np.where(small, 0.0, powers))
        return np.stack([(sines / cosines) ** 2, factors, np.where(small, powers, 0.0)], axis=1)

    def _first(self, kernel, bias):
        """Constant and table (2M, width) of :func:`first_layer`."""
        m = self._model.n_orbitals
        if self._by_charge:
            charge, spread = kernel[:m], kernel[m:]
            base, rows = bias - spread.sum(axis=0), [2.0 * spread - charge, 2.0 * spread + charge]
        else:
            base, rows = bias - kernel.sum(axis=0), [2.0 * kernel]
        table = np.pad(np.concatenate(rows), [(0, 0), (0, -len(bias) % PANEL)])
        return self._padded(base), _aligned(table.astype(self._dtype))

    def _padded(self, vector):
        return np.pad(vector, (0, -len(vector) % PANEL)).astype(self._dtype)

    def _panels(self, kernel):
        """Kernel (depth, width) as (C, depth, PANEL)."""
        wide = np.pad(kernel, [(0, 0), (0, -kernel.shape[1] % PANEL)])
        panels = wide.reshape(len(kernel), -1, PANEL).swapaxes(0, 1)
        return _aligned(panels.astype(self._dtype))

    def _by_orbital(self, kernel):
        """Kernel (depth, outputs) of the last layer as (orbitals, depth, columns)."""
        model = self._model
        m, n_a, n_b = model.n_orbitals, model.n_alpha, model.n_beta
        by_determinant = kernel.reshape(len(kernel), model.n_determinants, -1)
        if not model.blocked:
            return _with_rows_first(
                by_determinant.reshape(len(kernel), model.n_determinants, 2 * m, n_a + n_b)
            )
        alpha = by_determinant[..., : m * n_a].reshape(len(kernel), model.n_determinants, m, n_a)
        beta = by_determinant[..., m * n_a :].reshape(len(kernel), model.n_determinants, m, n_b)
        if self._by_charge:
            return _with_rows_first(np.concatenate([alpha, beta], axis=-1))
        parts = [_with_rows_first(alpha), _with_rows_first(beta)]
        width = max(part.shape[2] for part in parts)
        return np.concatenate([np.pad(p, [(0, 0), (0, 0), (0, width - p.shape[2])]) for p in parts])

    def _in_reference_irrep(self, words):
        model = self._model
        alpha, beta = model.reference or (range(model.n_alpha), range(model.n_beta))
        codes = np.asarray(model.orbital_irreps)
        target = np.bitwise_xor.reduce(codes[np.array([*alpha, *beta], int)])
        return determinant_irreps(words, codes) == target


def has_values(model: Any) -> bool:
    """True for networks that :class:`BackflowValues` takes."""
    return (
        type(model) is NeuralBackflow
        and len(model.hidden) > 0
        and model.activation in _IN_PLACE
        and np.dtype(model.param_dtype).name in ("float32", "float64")
    )


def in_sector(model: NeuralBackflow, determinants: np.ndarray) -> bool:
    """True where all bit strings (n, 2 W) have the electrons of the model."""
    half = determinants.shape[1] // 2
    counts = np.bitwise_count(determinants).astype(np.int64)
    electrons = np.stack([counts[:, :half].sum(axis=1), counts[:, half:].sum(axis=1)], axis=1)
    return bool(np.all(electrons == (model.n_alpha, model.n_beta)))


def _used(model, params):
    """Kernels and biases of all layers, as they are used."""
    names = [*(f"hidden_{k}" for k in range(len(model.hidden))), "orbitals"]
    layers = [params[name] for name in names]
    found = [[np.asarray(layer[name], np.float64) for layer in layers] for name in ("kernel", "bias")]
    ties = model.ties()
    if ties is None:
        return found
    kernels = [np.asarray(tie.kernel(kernel)) for tie, kernel in zip(ties, found[0], strict=True)]
    return kernels, [np.asarray(tie.bias(bias)) for tie, bias in zip(ties, found[1], strict=True)]


def _zeros(shape, dtype):
    """Zeros that begin at a cache line, so that no vector lies across two of them."""
    size, dtype = int(np.prod(shape)), np.dtype(dtype)
    memory = np.zeros(size * dtype.itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size * dtype.itemsize].view(dtype).reshape(shape)


def _aligned(array):
    out = _zeros(array.shape, array.dtype)
    out[...] = array
    return out


def _with_rows_first(kernel):
    """(depth, D, rows, columns) as (rows, depth, D * columns)."""
    depth, n_determinants, rows, columns = kernel.shape
    return kernel.transpose(2, 0, 1, 3).reshape(rows, depth, n_determinants * columns)


def _sum_of_two(sign, log_abs, other_sign, other_log):
    """Sign and logarithm of the sum of two numbers each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.maximum(log_abs, other_log)
        shift = np.where(np.isfinite(largest), largest, 0.0)
        total = sign * np.exp(log_abs - shift) + other_sign * np.exp(other_log - shift)
        return np.sign(total), np.log(np.abs(total)) + shift
