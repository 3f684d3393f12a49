r"""Complete-basis-set limit of energies computed in a family of basis sets.

Hartree-Fock and correlation energies converge differently and are extrapolated apart, each by every formula
that the points allow, always through the largest sets. docs/basis_limit.md has the formulas with their
sources, and what the uncertainty means.

**Recommended** are (X+1) exp(-9 sqrt X) and X^-3 through the two largest sets: both need no small set, which
three-point formulas have to include; X^-3 is what the partial waves of the interelectronic cusp lead to, and
Halkier et al. (Chem. Phys. Lett. 286, 243 (1998)) found two points to beat three. Their values are the
result; the others tell how far it can be trusted. X^-B is in the table but no part of the uncertainty: with
a double-zeta set it overshoots (He by 0.4 mHa, Be 1.5, Ne 15).

The shares below are from known limits: Hartree-Fock of H2, He, LiH, Be, N2 and Ne, correlation of H2, He, Be
(exact) and Ne (MP2), from DT, TQ and Q5. Every total limit but that of Ne from DT (a fifth too far off) was
within its error.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq

from hamiltonians.errors import InputError
from nnbf.analysis.basis_names import cardinal_letters, cardinal_number, common_family

Array = np.ndarray

ALPHA = 9.0
"""Exponent of the exp-sqrt formulas for Hartree-Fock energies."""
HF_SHARE = 0.4
"""Smallest uncertainty of Hartree-Fock limits, as a share of the step between the two largest sets."""
SHARE = 1.0 / 3.0
"""Smallest uncertainty of correlation limits, as a share of the step from the largest set to the limit."""
DOUBLE_ZETA_SHARE = 0.75
"""The same where one of the two largest sets is double zeta."""


@dataclass(frozen=True)
class BasisPoint:
    """Energies in one basis set."""

    cardinal: int
    """X: 2 for double zeta, 3 for triple zeta ..."""
    hf: float
    """Hartree-Fock energy, Hartree."""
    energy: float
    """Total energy of the method, Hartree."""
    error: float = 0.0
    """Standard error of the total energy, Hartree."""
    hf_error: float = 0.0
    """Standard error of the Hartree-Fock energy, Hartree."""

    @property
    def correlation(self) -> float:
        """Correlation energy, Hartree."""
        return self.energy - self.hf


@dataclass(frozen=True)
class FormulaValue:
    """Limit by one formula."""

    key: str
    """Name of the formula, for `formula_curve`."""
    text: str
    """Dependence of the distance to the limit on X."""
    cardinals: tuple[int, ...]
    """X of the points it goes through."""
    energy: float | None
    """Limit in Hartree; None where the formula does not fit the points."""
    error: float | None
    """Errors of the points, propagated, Hartree."""
    coefficients: tuple[float, ...]
    """Limit, amplitude, and the exponent or the second amplitude."""
    note: str = ""
    """Why there is no limit, or ""."""
    counts: bool = True
    """True where it is part of the uncertainty."""

    @property
    def label(self) -> str:
        """Formula and sets: "X^-3 (TQ)"."""
        return f"{self.text} ({cardinal_letters(self.cardinals)})"


@dataclass(frozen=True)
class PartLimit:
    """Limit of the Hartree-Fock or of the correlation energy."""

    energy: float
    """Recommended value, Hartree."""
    error: float
    """Its uncertainty, Hartree: `spread` and `point_error` in quadrature."""
    spread: float
    """Part of the uncertainty that is the formula's, Hartree."""
    point_error: float
    """Part of the uncertainty that comes from errors of the points, Hartree."""
    formula: str
    """Formula that gave the value."""
    values: tuple[FormulaValue, ...]
    """Every formula that the number of points allows, the recommended one first."""


@dataclass(frozen=True)
class BasisLimit:
    """Energy in the limit of a complete basis."""

    energy: float
    """Total energy, Hartree. No bound."""
    error: float
    """Its uncertainty, Hartree."""
    formula: str
    """Formulas that gave the value."""
    hf: PartLimit
    """The Hartree-Fock part."""
    correlation: PartLimit
    """The correlation part."""
    points: tuple[BasisPoint, ...]
    """Points that were extrapolated, by ascending X."""
    family: str = ""
    """Basis family, "cc-pVXZ", where it is known."""
    notes: tuple[str, ...] = field(default=())
    """Remarks, one line each."""
    kind: str = "extrapolated"
    """Kind of the energy."""

    def record(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers for JSON."""
        record = asdict(self)
        for part in ("hf", "correlation"):
            for row, value in zip(record[part]["values"], getattr(self, part).values, strict=True):
                row["label"] = value.label
        return record


def basis_limit(
    points: Iterable[BasisPoint | Sequence[float] | Mapping[str, Any]],
    *,
    correlation: bool = False,
    alpha: float = ALPHA,
    family: str = "",
) -> BasisLimit:
    """Extrapolate energies to a complete basis; see the module for formulas and uncertainty.

    Example:
        >>> limit = basis_limit([(3, -2.861153, -2.900232), (4, -2.861514, -2.902411)])
        >>> abs(limit.energy + 2.903724) < limit.error < 1e-3
        True

    Args:
        points: Two sets or more of one family: `BasisPoint`, mappings with its fields, or
            (X, E_HF, E_total) and, where it has one, the standard error of E_total. Hartree.
        correlation: Whether tuples hold the correlation energy in place of the total one.
        alpha: Exponent of the exp-sqrt formulas for Hartree-Fock energies.
        family: Name of the family, for the record.

    Returns:
        Limit, uncertainty, and every formula's value.

    Raises:
        InputError: Fewer than two points, one X twice, or numbers that are not finite.
    """
    chosen = _checked([_point(point, correlation) for point in points], alpha)
    x = [point.cardinal for point in chosen]
    low = [point.hf for point in chosen]
    low_errors = [point.hf_error for point in chosen]
    least = HF_SHARE * abs(low[-1] - low[-2])
    hf, hf_rows = _part(_hf_formulas(alpha), x, low, low_errors, lambda limit: least)
    errors = [math.hypot(point.error, point.hf_error) for point in chosen]
    high = [point.correlation for point in chosen]
    share = DOUBLE_ZETA_SHARE if x[-2] == 2 else SHARE
    rest, rest_rows = _part(_CORRELATION, x, high, errors, lambda limit: share * abs(limit - high[-1]))
    # E_HF enters both parts: once as it is, once subtracted from the total energy.
    from_hf = (hf_rows - rest_rows) * low_errors
    from_total = rest_rows * [point.error for point in chosen]
    of_points = math.sqrt(float(from_hf @ from_hf + from_total @ from_total))
    return BasisLimit(
        energy=hf.energy + rest.energy,
        error=math.hypot(hf.spread, rest.spread, of_points),
        formula=f"HF: {hf.formula}; correlation: {rest.formula}",
        hf=hf,
        correlation=rest,
        points=tuple(chosen),
        family=family,
        notes=tuple(_notes(chosen)),
    )


def basis_points(records: Iterable[Mapping[str, Any]]) -> tuple[list[BasisPoint], str]:
    """Read points off records of runs.

    Where virtual orbitals were left out, the total energy is that with the MP2 correction for them: without
    it, it is no function of X. How far off the correction is, is not in the error of the point.

    Args:
        records: Each with `basis`, `energy`, `hf` and, where there are such, `energy_error` and
            `mp2_corrected`; or the content of a result.json, where these are in `system`, `references` and
            `estimates`.

    Returns:
        Points for `basis_limit`, and their family.

    Raises:
        InputError: Sets of different families or without a cardinal number; an energy is missing.
    """
    found, bases = [], []
    for record in records:
        basis = record.get("basis") or (record.get("system") or {}).get("basis")
        if not basis:
            raise InputError("a record names no basis: give 'basis' beside its energies")
        hf = record.get("hf", (record.get("references") or {}).get("hf"))
        whole = ((record.get("estimates") or {}).get("mp2_corrected") or {}).get("energy")
        corrected = record.get("mp2_corrected", whole)
        energy = record.get("energy") if corrected is None else corrected
        if hf is None or energy is None:
            missing = "Hartree-Fock energy" if hf is None else "energy"
            raise InputError(f"the record of {basis} has no {missing}: leave it out, or compute it")
        bases.append(basis)
        found.append(BasisPoint(cardinal_number(basis), hf, energy, record.get("energy_error") or 0.0))
    return found, common_family(bases)


def formula_curve(value: FormulaValue | Mapping[str, Any], x: Any, *, alpha: float = ALPHA) -> np.ndarray:
    """Return a formula's energies at these X (which need not be whole), in Hartree.

    Args:
        value: One of the values of a `PartLimit`, or its record.
        x: Where, shape (n,).
        alpha: As for `basis_limit`.

    Raises:
        InputError: The formula is unknown, or did not fit its points.
    """
    row = asdict(value) if isinstance(value, FormulaValue) else value
    known = {formula.key: formula for formula in (*_hf_formulas(alpha), *_CORRELATION)}
    if row["key"] not in known:
        raise InputError(f"formula {row['key']!r} is unknown: there are {', '.join(known)}")
    if row["energy"] is None:
        raise InputError(f"{row['text']} did not fit the points: {row['note']}")
    return known[row["key"]].evaluate(row["coefficients"], x)


def _point(point: BasisPoint | Sequence[float] | Mapping[str, Any], correlation: bool) -> BasisPoint:
    if isinstance(point, BasisPoint):
        return point
    try:
        if isinstance(point, Mapping):
            return BasisPoint(**point)
        cardinal, hf, energy, *error = point
        found = BasisPoint(cardinal, hf, energy, *error)  # type: ignore[arg-type]
        if correlation:
            return BasisPoint(found.cardinal, hf, hf + energy, found.error, found.hf_error)
        return found
    except (TypeError, ValueError):
        raise InputError(
            f"{point!r} is no point: give (X, E_HF, E_total) or (X, E_HF, E_total, error)"
        ) from None


def _checked(points: list[BasisPoint], alpha: float) -> list[BasisPoint]:
    """The points by ascending X."""
    if not alpha > 0:
        raise InputError(f"alpha is {alpha!r}: give a positive exponent, such as 9")
    for point in points:
        numbers = (point.cardinal, point.hf, point.energy, point.error, point.hf_error)
        if not all(isinstance(number, int | float | np.number) and np.isfinite(number) for number in numbers):
            raise InputError(f"the point at X = {point.cardinal} is not finite: leave it out, or compute it")
        if point.cardinal != int(point.cardinal) or point.cardinal < 2:
            raise InputError(
                f"X = {point.cardinal} is no cardinal number: give 2 for double zeta, 3 for triple"
            )
        if point.error < 0 or point.hf_error < 0:
            raise InputError(f"the error at X = {point.cardinal} is negative: give a standard error")
    ordered = sorted(points, key=lambda point: point.cardinal)
    cardinals = [int(point.cardinal) for point in ordered]
    if len(set(cardinals)) < len(cardinals):
        twice = next(x for x in cardinals if cardinals.count(x) > 1)
        raise InputError(f"X = {twice} comes twice: give one energy for each basis set")
    if len(cardinals) < 2:
        raise InputError(f"{len(cardinals)} basis sets are too few: extrapolation needs two or more")
    return ordered


def _part(
    formulas: "Sequence[_Formula]",
    x: list[int],
    energies: list[float],
    errors: list[float],
    least_spread: Callable[[float], float],
) -> tuple[PartLimit, Array]:
    """One part's limit, and its derivatives by the energies of all points, shape (n_points,)."""
    found = [_value(formula, x, energies, errors) for formula in formulas if formula.n_points <= len(x)]
    values = [value for value, _ in found]
    best = values[0]
    if best.energy is None or best.error is None:  # two different X always give a line
        raise InputError(f"{best.text} does not fit: {best.note}")
    others = [value.energy for value in values if value.energy is not None and value.counts]
    spread = max(least_spread(best.energy), *(abs(other - best.energy) for other in others))
    error = math.hypot(spread, best.error)
    return PartLimit(best.energy, error, spread, best.error, best.label, tuple(values)), found[0][1]


def _value(
    formula: "_Formula", x: list[int], energies: list[float], errors: list[float]
) -> tuple[FormulaValue, Array]:
    used = formula.n_points
    last = tuple(int(number) for number in x[-used:])
    row = np.zeros(len(x))
    solved = formula.solve(last, energies[-used:])
    if isinstance(solved, str):
        text = formula.text.replace("{b:.3g}", "B")
        return FormulaValue(formula.key, text, last, None, None, (), solved, formula.counts), row
    coefficients, jacobian = solved
    row[-used:] = jacobian
    error = float(np.linalg.norm(row * errors))
    text = formula.text.format(b=coefficients[2])
    found = tuple(float(number) for number in coefficients)
    return FormulaValue(formula.key, text, last, found[0], error, found, "", formula.counts), row


def _notes(points: list[BasisPoint]) -> Iterable[str]:
    last = points[-2:]
    if last[0].cardinal == 2:
        yield "one of the two sets is double zeta: a rough estimate, add a larger set"
    if last[1].cardinal - last[0].cardinal > 1:
        yield "the two largest sets are not neighbours: a set between them would help more than its cost"
    if last[1].hf > last[0].hf:
        yield "the Hartree-Fock energy rises with the basis: the points may not belong together"
    if last[1].correlation > last[0].correlation:
        yield "the correlation energy shrinks with the basis: the points may not belong together"


# ---- formulas ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Formula:
    """E_X = E + A g(X; b), b fixed or free; or E_X = E + A g(X; b) + B g(X; b + 2).

    It has as many unknowns as points, so that its limit is a function of their energies, and
    d limit / d E_i is the first row of the inverse of the matrix of dE_i/d(unknown).
    """

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
        """Return (limit, A, b or B) and d limit / d E_i, shape (n_points,); or why there is no solution."""
        at = np.asarray(x, dtype=float)
        values = np.asarray(energies, dtype=float)
        exponent = self._free_exponent(at, values) if self.exponent is None else self.exponent
        if isinstance(exponent, str):
            return exponent
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


def _hf_formulas(alpha: float) -> tuple[_Formula, ...]:
    """Formulas for Hartree-Fock energies, the recommended one first."""
    return (
        _Formula("karton_martin", "(X+1) exp(-{b:g} √X)", np.sqrt, alpha, scaled=True),
        _Formula("exp_sqrt", "exp(-{b:g} √X)", np.sqrt, alpha),
        _Formula("power_5", "X^-{b:g}", np.log, 5.0),
        _Formula("feller", "exp(-{b:.3g} X)", np.positive, bracket=(0.1, 8.0)),
    )


_CORRELATION = (
    _Formula("helgaker", "X^-{b:g}", np.log, 3.0),
    _Formula("martin", "(X+1/2)^-{b:g}", _log_half, 4.0),
    _Formula("helgaker_3_5", "X^-3 + X^-5", np.log, 3.0, second_term=True),
    _Formula("martin_4_6", "(X+1/2)^-4 + (X+1/2)^-6", _log_half, 4.0, second_term=True),
    _Formula("free_power", "X^-{b:.3g}", np.log, bracket=(1.5, 8.0), counts=False),
)
"""Formulas for correlation energies, the recommended one first."""
