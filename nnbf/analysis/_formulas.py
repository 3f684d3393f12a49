"""Formulas for energies against the cardinal number X, solved for the energy at infinite X.

Every formula has as many unknowns as points, so its limit is a function of their energies, and
d limit / d E_i is the first row of the inverse of the matrix of dE_i/d(unknown).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

Array = np.ndarray


@dataclass(frozen=True)
class Formula:
    """E_X = E + A g(X; b), b fixed or free; or E_X = E + A g(X; b) + B g(X; b + 2)."""

    key: str
    """Its name in records."""
    text: str
    """Dependence of E_X - E on X; {b} stands for the exponent."""
    decay: Callable[[Array], Array]
    """d(X), shape (n,), of g(X; b) = exp(-b d(X)): log X for powers."""
    exponent: float | None = None
    """b; None where it is the third unknown."""
    bracket: tuple[float, float] = (0.0, 0.0)
    """Smallest and largest b that makes sense, where it is free."""
    second_term: bool = False
    """True where the third unknown is the coefficient of g(X; b + 2)."""
    scaled: bool = False
    """True for g(X; b) = (X + 1) exp(-b d(X))."""
    counts: bool = True
    """True where its value is part of the uncertainty."""

    @property
    def n_points(self) -> int:
        """Points that it needs."""
        return 3 if self.second_term or self.exponent is None else 2

    def shape(self, x: Array, b: float) -> Array:
        """Return g(X; b), shape (n,)."""
        return np.exp(-b * self.decay(x)) * (x + 1.0 if self.scaled else 1.0)

    def solve(self, x: Sequence[int], energies: Sequence[float]) -> tuple[Array, Array] | str:
        """Solve for the unknowns.

        Args:
            x: Cardinal numbers, `n_points` of them, ascending.
            energies: E_X, any unit.

        Returns:
            (limit, A, b or B) as `evaluate` takes them and d limit / d E_i, shape (n_points,); or why
            there is no solution.
        """
        at = np.asarray(x, dtype=float)
        values = np.asarray(energies, dtype=float)
        exponent = self.exponent
        if exponent is None:
            found = self._free_exponent(at, values)
            if isinstance(found, str):
                return found
            exponent = found
        columns = [np.ones_like(at), self.shape(at, exponent)]
        if self.second_term:
            columns.append(self.shape(at, exponent + 2.0))
        matrix = np.stack(columns, axis=1)
        used = matrix.shape[1]
        shift = values[-1]
        unknowns = np.linalg.solve(matrix[:used], values[:used] - shift)
        unknowns[0] += shift
        if self.exponent is None:
            matrix = np.column_stack([matrix, -unknowns[1] * self.decay(at) * self.shape(at, exponent)])
        jacobian = np.linalg.inv(matrix)[0]
        coefficients = unknowns if self.second_term else np.append(unknowns, exponent)
        return coefficients, jacobian

    def evaluate(self, coefficients: Sequence[float], x: Array) -> Array:
        """Return E_X on the curve, shape of `x`."""
        limit, amplitude, third = coefficients
        at = np.asarray(x, dtype=float)
        if self.second_term:
            first = self.exponent or 0.0
            return limit + amplitude * self.shape(at, first) + third * self.shape(at, first + 2.0)
        return limit + amplitude * self.shape(at, third)

    def _free_exponent(self, x: Array, energies: Array) -> float | str:
        drops = energies[:-1] - energies[1:]
        if drops[0] * drops[1] <= 0:
            return "the energies do not fall steadily with X"
        ratio = np.log(drops[0] / drops[1])

        def excess(b: float) -> float:
            steps = self.shape(x, b)
            steps = steps[:-1] - steps[1:]
            return float(np.log(steps[0] / steps[1]) - ratio)

        low, high = self.bracket
        if excess(low) > 0:
            return f"the energies converge more slowly than with exponent {low:g}"
        if excess(high) < 0:
            return f"the energies converge faster than with exponent {high:g}"
        return float(brentq(excess, low, high, xtol=1e-12))


def _log_half(x: Array) -> Array:
    return np.log(x + 0.5)


def hf_formulas(alpha: float) -> tuple[Formula, ...]:
    """Formulas for Hartree-Fock energies, the recommended one first."""
    return (
        Formula("karton_martin", "(X+1) exp(-{b:g} √X)", np.sqrt, alpha, scaled=True),
        Formula("exp_sqrt", "exp(-{b:g} √X)", np.sqrt, alpha),
        Formula("power_5", "X^-{b:g}", np.log, 5.0),
        Formula("feller", "exp(-{b:.3g} X)", np.positive, bracket=(0.1, 8.0)),
    )


def correlation_formulas() -> tuple[Formula, ...]:
    """Formulas for correlation energies, the recommended one first."""
    return (
        Formula("helgaker", "X^-{b:g}", np.log, 3.0),
        Formula("martin", "(X+1/2)^-{b:g}", _log_half, 4.0),
        Formula("helgaker_3_5", "X^-3 + X^-5", np.log, 3.0, second_term=True),
        Formula("martin_4_6", "(X+1/2)^-4 + (X+1/2)^-6", _log_half, 4.0, second_term=True),
        Formula("free_power", "X^-{b:.3g}", np.log, bracket=(1.5, 8.0), counts=False),
    )
