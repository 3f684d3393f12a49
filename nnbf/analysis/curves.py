r"""Spectroscopic constants of a diatomic from a scan of its bond, and how parallel two curves run.

Around the lowest point of the scan, energies are fitted by polynomials in (r - r_0)/r (Simons, Parr, Finlan,
J. Chem. Phys. 59, 3229 (1973)) and in (r - r_0)/(r + r_0) (Ogilvie, Proc. R. Soc. A 378, 287 (1981)), which
bend the way a bond does, and by a Morse curve. With x = (r - r_e)/r_e and E = E_e + a_0 x^2 (1 + a_1 x +
a_2 x^2 + ...), Dunham (Phys. Rev. 41, 721 (1932)) gives

    omega_e = sqrt(2 a_0 / (mu r_e^2)) / (2 pi c)
    B_e = hbar / (4 pi c mu r_e^2)
    omega_e x_e = 3/2 B_e (5/4 a_1^2 - a_2)
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from scipy import constants
from scipy.optimize import least_squares

from hamiltonians.errors import InputError

Array = np.ndarray

LEAST_POINTS = 5
"""Fewest points of a scan."""
WINDOW = 0.05
"""Height in Hartree up to which points belong to the fit, if at least `LEAST_POINTS` do."""
#: Heads of tables, and the keys of `DiatomicConstants.record` below them.
COLUMNS = (
    ("r_e (Å)", "r_e"),
    ("ω_e (cm⁻¹)", "omega_e"),
    ("ω_e x_e (cm⁻¹)", "omega_e_x_e"),
    ("B_e (cm⁻¹)", "b_e"),
    ("E_min (Ha)", "energy"),
    ("D_e (Ha)", "well_depth"),
)

_HIGHEST_DEGREE = 6
_MOST_RESIDUAL = 0.02  # of the window's height: a curve that is farther off describes something else
_STEP = 1e-7  # Hartree; finite differences of the fits by the energies
_QUANTITIES = ("r_e", "omega_e", "energy", "b_e", "omega_e_x_e")


@dataclass(frozen=True)
class CurveFit:
    """One fit around the minimum."""

    name: str
    """Function."""
    r_e: float
    """Equilibrium distance, angstrom."""
    omega_e: float
    """Harmonic frequency, cm^-1."""
    energy: float
    """Energy of the minimum, Hartree."""
    b_e: float
    """Rotational constant, cm^-1."""
    omega_e_x_e: float
    """Anharmonicity, cm^-1."""
    residual: float
    """Root mean square distance from the points, Hartree."""
    n_parameters: int
    """Parameters of the function."""


@dataclass(frozen=True)
class DiatomicConstants:
    """Constants of a diatomic; each error combines errors of the points and the spread between fits."""

    r_e: float
    """Equilibrium distance, angstrom."""
    r_e_error: float
    """Its uncertainty, angstrom."""
    omega_e: float
    """Harmonic frequency, cm^-1."""
    omega_e_error: float
    """Its uncertainty, cm^-1."""
    energy: float
    """Energy of the minimum, Hartree."""
    energy_error: float
    """Its uncertainty, Hartree."""
    b_e: float
    """Rotational constant, cm^-1."""
    b_e_error: float
    """Its uncertainty, cm^-1."""
    omega_e_x_e: float
    """Anharmonicity, cm^-1."""
    omega_e_x_e_error: float
    """Its uncertainty, cm^-1."""
    well_depth: float
    """D_e: energy of the asymptote less that of the minimum, Hartree."""
    well_depth_error: float
    """Its uncertainty, Hartree; what is missing to the asymptote is not in it."""
    reduced_mass: float
    """In unified atomic mass units."""
    fits: tuple[CurveFit, ...]
    """All fits, that of the values first."""
    n_points: int
    """Points around the minimum that were fitted."""
    notes: tuple[str, ...]
    """Remarks, one line each."""

    def record(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class NonParallelity:
    """Variation of the distance between two curves along them."""

    error: float
    """Non-parallelity error: largest less smallest difference, Hartree."""
    uncertainty: float
    """Its standard error from those of the two points, Hartree."""
    largest: float
    """Largest absolute difference, Hartree."""
    mean: float
    """Mean difference, Hartree."""
    differences: tuple[float, ...]
    """Energy less reference at every point, Hartree; NaN where one is missing."""

    def record(self) -> dict[str, Any]:
        """Return plain numbers and lists for JSON."""
        return asdict(self)


def diatomic_constants(
    r: Sequence[float],
    energies: Sequence[float],
    atoms: tuple[str, str] | None = None,
    *,
    masses: tuple[float, float] | None = None,
    errors: Sequence[float] | None = None,
    dissociation: float | None = None,
    dissociation_error: float = 0.0,
    window: float = WINDOW,
) -> DiatomicConstants:
    """Fit the neighbourhood of the minimum of a potential-energy curve.

    Args:
        r: Distances in angstrom, in any order.
        energies: Hartree.
        atoms: Symbols of the two atoms, for the masses of their commonest isotopes (needs PySCF).
        masses: In place of them, masses in unified atomic mass units.
        errors: Standard errors of the energies, Hartree; a larger scatter about the fit takes their place.
        dissociation: Energy of the separated atoms, Hartree; by default that of the largest distance.
        dissociation_error: Its standard error.
        window: Height above the lowest point, Hartree, up to which points are fitted.

    Returns:
        Constants with uncertainties, and every fit.

    Raises:
        InputError: Fewer than five points, a distance twice, the lowest energy at an end, no masses.
    """
    x, y, sigma = _checked_scan(r, energies, errors)
    mu = _reduced(atoms, masses)
    lowest = int(np.argmin(y))
    if lowest in (0, len(x) - 1):
        side = "shorter" if lowest == 0 else "longer"
        raise InputError(
            f"the lowest energy is at the end of the scan ({x[lowest]:g} angstrom): add {side} distances"
        )
    first, last = _window(y, lowest, window)
    near_r, near_e, near_s = x[first:last], y[first:last], sigma[first:last]
    fits = _fits(near_r, near_e, mu)
    main = fits[0]
    noise = _noise(fits, near_s, len(near_r))
    error = _errors(near_r, near_e, mu, fits, noise)
    notes = list(_notes(x, y, lowest, first, last, main, dissociation))
    asymptote = y[-1] if dissociation is None else dissociation
    far = sigma[-1] if dissociation is None else dissociation_error
    return DiatomicConstants(
        **{name: getattr(main, name) for name in _QUANTITIES},
        **{f"{name}_error": error[name] for name in _QUANTITIES},
        well_depth=float(asymptote - main.energy),
        well_depth_error=float(np.hypot(error["energy"], far)),
        reduced_mass=mu,
        fits=tuple(fits),
        n_points=len(near_r),
        notes=tuple(notes),
    )


def non_parallelity(
    energies: Sequence[float | None],
    reference: Sequence[float | None],
    errors: Sequence[float | None] | None = None,
) -> NonParallelity:
    """Compare a curve with a reference at the same geometries.

    Args:
        energies: Hartree; None where there is none.
        reference: The same, of the reference curve (FCI, as a rule).
        errors: Standard errors of `energies`.

    Raises:
        InputError: Different lengths, or fewer than two geometries with both energies.
    """
    if len(energies) != len(reference) or (errors is not None and len(errors) != len(energies)):
        raise InputError("the two curves (and errors) must have the same geometries")
    difference = np.array(energies, dtype=float) - np.array(reference, dtype=float)
    known = np.flatnonzero(np.isfinite(difference))
    if len(known) < 2:
        raise InputError(f"{len(known)} geometries with both energies: non-parallelity needs two or more")
    high = known[np.argmax(difference[known])]
    low = known[np.argmin(difference[known])]
    sigma = np.zeros(len(difference)) if errors is None else np.nan_to_num(np.array(errors, dtype=float))
    return NonParallelity(
        error=float(difference[high] - difference[low]),
        uncertainty=float(np.hypot(sigma[high], sigma[low])),
        largest=float(np.abs(difference[known]).max()),
        mean=float(difference[known].mean()),
        differences=tuple(map(float, difference)),
    )


def reduced_mass(atoms: tuple[str, str]) -> float:
    """Return the reduced mass of two atoms in unified atomic mass units, of their commonest isotopes.

    Raises:
        InputError: No element, or PySCF, which has the table, is not installed.
    """
    try:
        from pyscf.data.elements import COMMON_ISOTOPE_MASSES
    except ImportError:
        raise InputError("the masses of elements come from PySCF: install it, or give masses") from None
    from hamiltonians.molecule.geometry import ATOMIC_NUMBERS

    found = []
    for atom in atoms:
        number = ATOMIC_NUMBERS.get(str(atom).capitalize())
        if number is None or number >= len(COMMON_ISOTOPE_MASSES):
            raise InputError(f"no mass is known for {atom!r}: give an element, or masses=(m1, m2) in u")
        found.append(float(COMMON_ISOTOPE_MASSES[number]))
    return _reduced(None, (found[0], found[1]))


def _reduced(atoms: tuple[str, str] | None, masses: tuple[float, float] | None) -> float:
    if masses is None:
        if atoms is None or len(atoms) != 2:
            raise InputError("give the two atoms of the diatomic, or masses=(m1, m2) in u")
        return reduced_mass(atoms)
    first, second = masses
    if not (first > 0 and second > 0):
        raise InputError(f"masses {masses!r} must be positive, in unified atomic mass units")
    return first * second / (first + second)


def _checked_scan(r, energies, errors) -> tuple[Array, Array, Array]:
    """Arrays by ascending distance."""
    x, y = np.array(r, dtype=float), np.array(energies, dtype=float)
    sigma = np.zeros_like(y) if errors is None else np.array(errors, dtype=float)
    if not len(x) == len(y) == len(sigma):
        raise InputError(
            f"{len(x)} distances, {len(y)} energies and {len(sigma)} errors: give as many of each"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(sigma).all()):
        raise InputError("the scan has points that are not finite: leave them out")
    if len(x) < LEAST_POINTS:
        raise InputError(f"{len(x)} points are too few: the fit of a minimum needs {LEAST_POINTS} or more")
    order = np.argsort(x)
    x, y, sigma = x[order], y[order], sigma[order]
    if x[0] <= 0 or np.any(np.diff(x) <= 0):
        raise InputError("distances of a scan must be positive and different")
    if np.any(sigma < 0):
        raise InputError("errors of a scan must not be negative")
    return x, y, sigma


def _window(y: Array, lowest: int, height: float) -> tuple[int, int]:
    """First and one past the last point of the fit."""
    first, last = lowest - 1, lowest + 2  # the minimum lies between neighbours of the lowest point
    while first > 0 or last < len(y):
        left = y[first - 1] if first > 0 else np.inf
        right = y[last] if last < len(y) else np.inf
        if min(left, right) > y[lowest] + height and last - first >= LEAST_POINTS:
            break
        if left < right:
            first -= 1
        else:
            last += 1
    return first, last


@dataclass(frozen=True)
class _Coordinate:
    """Variable of a polynomial, with its Taylor series in x = (r - r_e)/r_e."""

    name: str
    of: Callable[[Array, float], Array]
    back: Callable[[Array, float], Array]
    series: Callable[[float, float], list[float]]


_FINLAN = _Coordinate(
    "(r-r0)/r",
    lambda r, r0: 1.0 - r0 / r,
    lambda s, r0: r0 / (1.0 - s),
    lambda r, r0: [0.0] + [-r0 / r * (-1.0) ** k for k in range(1, 5)],
)
_TIPPING = _Coordinate(
    "(r-r0)/(r+r0)",
    lambda r, r0: (r - r0) / (r + r0),
    lambda s, r0: r0 * (1.0 + s) / (1.0 - s),
    lambda r, r0: [0.0] + [-2.0 * r0 / (r + r0) * (-r / (r + r0)) ** k for k in range(1, 5)],
)


def _fits(r: Array, e: Array, mu: float) -> list[CurveFit]:
    """All fits that have a minimum inside the window and follow the points; the main one first."""
    # One point more than parameters, where there is one, shows how large the scatter is.
    highest = min(_HIGHEST_DEGREE, max(4, len(r) - 2))
    made = [_polynomial(r, e, mu, _FINLAN, highest)]
    if highest > 4:
        made.append(_polynomial(r, e, mu, _FINLAN, highest - 1))
    made.append(_polynomial(r, e, mu, _TIPPING, highest))
    made.append(_morse(r, e, mu))
    found = [fit for fit in made if fit is not None]
    if made[0] is None or not found:
        raise InputError("no fit has a minimum between the points: make the scan finer there")
    most = _MOST_RESIDUAL * np.ptp(e)
    return [found[0], *(fit for fit in found[1:] if fit.residual <= most)]


def _polynomial(r: Array, e: Array, mu: float, coordinate: _Coordinate, degree: int) -> CurveFit | None:
    r0, shift = float(r[np.argmin(e)]), float(e.min())
    s = coordinate.of(r, r0)
    fitted = Polynomial.fit(s, e - shift, degree)
    stationary = fitted.deriv().roots()
    real = stationary[np.abs(stationary.imag) < 1e-9].real
    inside = [at for at in real if s[0] < at < s[-1] and fitted.deriv(2)(at) > 0]
    if not inside:
        return None
    at = min(inside, key=fitted)
    r_e = float(coordinate.back(at, r0))
    step = Polynomial(coordinate.series(r_e, r0))
    power = Polynomial([1.0])
    series = np.zeros(5)
    derivative = fitted
    for order in range(5):
        term = (derivative(at) / math.factorial(order) * power).coef[:5]
        series[: len(term)] += term
        power = (power * step).cutdeg(4)
        derivative = derivative.deriv()
    residual = float(np.sqrt(np.mean((fitted(s) - (e - shift)) ** 2)))
    name = f"polynomial of degree {degree} in {coordinate.name}"
    return _constants(name, r_e, series[0] + shift, tuple(series[2:]), mu, residual, degree + 1)


def _morse(r: Array, e: Array, mu: float) -> CurveFit | None:
    """E_e + D (1 - exp(-a (r - r_e)))^2."""
    shift = float(e.min())
    height = e - shift

    def residuals(p: Array) -> Array:
        return p[0] + np.exp(p[1]) * (1 - np.exp(-np.exp(p[2]) * (r - p[3]))) ** 2 - height

    curvature = 2 * Polynomial.fit(r, height, 2).convert().coef[2]
    depth = max(4 * float(np.ptp(height)), 1e-6)
    start = [0.0, np.log(depth), 0.5 * np.log(max(curvature, 1e-6) / (2 * depth)), float(r[np.argmin(e)])]
    found = least_squares(
        residuals, start, method="lm", x_scale=[depth, 1.0, 1.0, 0.1], xtol=1e-14, ftol=1e-14
    )
    energy, depth, a, r_e = found.x[0], np.exp(found.x[1]), np.exp(found.x[2]), found.x[3]
    if not (found.success and r[0] < r_e < r[-1]):
        return None
    u = a * r_e
    residual = float(np.sqrt(np.mean(found.fun**2)))
    series = (depth * u**2, -depth * u**3, 7 / 12 * depth * u**4)
    return _constants("Morse", float(r_e), energy + shift, series, mu, residual, 4)


def _constants(
    name: str,
    r_e: float,
    energy: float,
    series: tuple[float, ...],
    mu: float,
    residual: float,
    n: int,
) -> CurveFit:
    """Dunham's constants from E = E_e + c_2 x^2 + c_3 x^3 + c_4 x^4."""
    c2, c3, c4 = series
    mass = mu * constants.atomic_mass
    length = r_e * constants.angstrom
    hartree = constants.value("Hartree energy")
    per_cm = 100.0 * constants.c
    omega = np.sqrt(2 * c2 * hartree / (mass * length**2)) / (2 * np.pi * per_cm)
    b_e = constants.hbar / (4 * np.pi * per_cm * mass * length**2)
    anharmonicity = 1.5 * b_e * (1.25 * (c3 / c2) ** 2 - c4 / c2)
    return CurveFit(name, r_e, float(omega), float(energy), float(b_e), float(anharmonicity), residual, n)


def _noise(fits: Sequence[CurveFit], sigma: Array, n_points: int) -> Array:
    """Error of every point: what was given, or the scatter about the closest fit that leaves some freedom."""
    scatters = [
        fit.residual * np.sqrt(n_points / (n_points - fit.n_parameters))
        for fit in fits
        if n_points > fit.n_parameters
    ]
    return np.maximum(sigma, min(scatters, default=0.0))


def _errors(r: Array, e: Array, mu: float, fits: Sequence[CurveFit], noise: Array) -> dict[str, float]:
    """Errors of the points through the main fit, and the largest distance to another fit, in quadrature."""
    main = fits[0]
    degree = main.n_parameters - 1
    variance = dict.fromkeys(_QUANTITIES, 0.0)
    for index in np.flatnonzero(noise):
        moved = []
        for sign in (1.0, -1.0):
            shifted = e.copy()
            shifted[index] += sign * _STEP
            moved.append(_polynomial(r, shifted, mu, _FINLAN, degree) or main)
        for name in _QUANTITIES:
            slope = (getattr(moved[0], name) - getattr(moved[1], name)) / (2 * _STEP)
            variance[name] += (slope * noise[index]) ** 2
    spread = {
        name: max(abs(getattr(fit, name) - getattr(main, name)) for fit in fits) for name in _QUANTITIES
    }
    return {name: float(np.hypot(np.sqrt(variance[name]), spread[name])) for name in _QUANTITIES}


def _notes(x, y, lowest, first, last, main, dissociation):
    if lowest - first < 2 or last - 1 - lowest < 2:
        yield "one point only on one side of the minimum: add another there"
    if y[last - 1] - y[lowest] > 2 * WINDOW or y[first] - y[lowest] > 2 * WINDOW:
        yield "the points around the minimum are far apart: a finer scan there gives smaller errors"
    if dissociation is None and x[-1] < 3 * main.r_e:
        yield f"the well depth is taken to {x[-1]:g} angstrom, which is no asymptote: a lower bound as a rule"
