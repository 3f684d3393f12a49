r"""The response of a state to an operator by name: what is measured of its poles, tables, and the record.

Strengths, with w_b the weights of `nnbf.response.spectra.Spectrum`:

* dipole: oscillator strengths :math:`f_b = \tfrac23 \omega_b \sum_\alpha
  |\langle b|\mu_\alpha|\psi\rangle|^2`; in a complete basis they sum to the number
  of electrons (Thomas, Reiche, Kuhn);
* current: :math:`\sigma(\omega > 0) = \frac{\pi}{N_s} \sum_b w_b / \omega_b \, \delta(\omega - \omega_b)`,
  beside the Drude weight :math:`D\,\delta(\omega)`, :math:`D = \frac{\pi}{N_s} (\langle -K \rangle -
  2 \sum_b w_b / \omega_b)` (Scalapino, White, Zhang, Phys. Rev. B 47, 7995 (1993); e = hbar = a = 1), so that
  :math:`D / 2 + \int_{0^+} \sigma = \frac{\pi}{2 N_s} \langle -K \rangle`;
* all else: the weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hamiltonians import InputError, Lattice, Molecule
from nnbf._text import Cell, Column, Table
from nnbf.observables.spectral_function import broadened
from nnbf.response.named_operators import AXES, bond_terms, kinetic_terms
from nnbf.response.response_options import HARTREE_EV, ResponseOptions
from nnbf.response.spectra import Channel, KnownState, Spectrum, spectrum_of

#: Peaks of several channels closer than this (unit of the problem) are one.
SAME_PEAK = 1e-5
#: Peaks in tables: share of the strength of the largest.
SHOWN = 1e-4
#: Poles of molecules whose Dyson orbitals are kept, and how large they are.
MOST_DYSON, LEAST_DYSON = 12, 0.02

Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Response:
    """Spectra of one or two states in all channels of an operator."""

    problem: Lattice | Molecule
    """The problem."""
    operator: str
    """Name of the operator."""
    options: ResponseOptions
    """Space and curves."""
    channels: tuple[Channel, ...]
    """Channels on which the operator does not vanish."""
    states: tuple[KnownState, ...]
    """The state, and where asked for the eigenvector beside it."""
    spectra: tuple[tuple[Spectrum, ...], ...]
    """One for each state and channel."""
    warnings: tuple[str, ...]
    """One line each."""

    @property
    def unit(self) -> str:
        """Unit of curves and tables."""
        natural = self.problem.unit
        if self.options.unit == "auto":
            return "eV" if natural == "Hartree" else natural
        return self.options.unit

    @property
    def factor(self) -> float:
        """From the unit of the problem to that of curves."""
        return HARTREE_EV if self.unit == "eV" else 1.0

    def strengths(self, spectrum: Spectrum) -> np.ndarray:
        """Strengths (K,) of the poles of a channel, see the module; no unit, of the current in t."""
        if self.operator == "dipole":
            return 2.0 / 3.0 * spectrum.positions * spectrum.weights
        if self.operator == "current":
            assert isinstance(self.problem, Lattice)
            positive = spectrum.positions > 1e-9
            inverse = np.divide(1.0, spectrum.positions, out=np.zeros(len(positive)), where=positive)
            return np.pi / self.problem.n_sites * spectrum.weights * inverse
        return spectrum.weights

    def curves(self, omega: np.ndarray, state: int) -> np.ndarray:
        """Broadened strengths (channels, points), per unit of the curve."""
        width, shape = self.options.width, self.options.shape
        return np.stack(
            [
                broadened(self.factor * s.positions, self.strengths(s), omega, width=width, shape=shape)
                for s in self.spectra[state]
            ]
        )

    def grid(self) -> np.ndarray:
        """Frequencies of the curves."""
        every = [s for spectra in self.spectra for s in spectra]
        positions = self.factor * np.concatenate([s.positions for s in every])
        strengths = np.concatenate([self.strengths(s) for s in every])
        if self.operator == "dipole" and self.options.omega_max is None:
            shown = positions < positions.min() + 40.0 * self.factor / HARTREE_EV
            positions, strengths = positions[shown], strengths[shown]
        return self.options.grid(positions, strengths)

    def peaks(self, state: int) -> list[dict[str, Any]]:
        """Peaks of all channels, rising, with those of one energy in several channels of a dipole as one."""
        rows: list[dict[str, Any]] = []
        for channel, spectrum in zip(self.channels, self.spectra[state], strict=True):
            for k, strength in enumerate(self.strengths(spectrum)):
                position = float(spectrum.positions[k])
                row: dict[str, Any] = {
                    "position": position,
                    "strength": float(strength),
                    "channel": channel.label,
                }
                row["correction"] = float(spectrum.corrections[k])
                if spectrum.position_errors is not None and spectrum.weight_errors is not None:
                    row["position_error"] = float(spectrum.position_errors[k])
                    row["strength_error"] = float(spectrum.weight_errors[k])
                rows.append(row | {"residual": float(spectrum.residuals[k])})
        if isinstance(self.problem, Molecule):
            rows.sort(key=lambda row: row["position"])
        if self.operator != "dipole":
            return rows
        merged: list[dict[str, Any]] = []
        for row in rows:
            if merged and row["position"] - merged[-1]["position"] < SAME_PEAK:
                last = merged[-1]
                last["strength"] += row["strength"]
                last["channel"] = "".join(sorted({*last["channel"], *row["channel"]}))
                last["residual"] = max(last["residual"], row["residual"])
            else:
                merged.append(dict(row))
        return merged

    def tables(self) -> dict[str, Table]:
        """Tables of sticks, curves and convergence for CSV files, by name."""
        names = ("strength", "weight", "residual", "correction")
        sticks = Table(["state", "channel", Column(f"omega ({self.unit})", "right"), *names])
        convergence = Table(["state", "channel", "configurations", "total_weight", "first_moment"])
        for state, spectra in zip(self.states, self.spectra, strict=True):
            for channel, s in zip(self.channels, spectra, strict=True):
                in_unit = [self.factor * part for part in (s.positions, s.residuals, s.corrections)]
                for x, strength, weight, *off in zip(
                    in_unit[0], self.strengths(s), s.weights, *in_unit[1:], strict=True
                ):
                    sticks.add(state.kind, channel.label, *map(_cell, (x, strength, weight, *off)))
                for row in s.convergence:
                    shown = (row[name] for name in ("space", "total_weight", "first_moment"))
                    convergence.add(state.kind, channel.label, *map(_cell, shown))
        omega = self.grid()
        titles = [f"{state.kind} {channel.label}" for state in self.states for channel in self.channels]
        curve = Table([f"omega ({self.unit})", *titles])
        columns = np.concatenate([self.curves(omega, k) for k in range(len(self.states))])
        for x, *values in zip(omega, *columns):
            curve.add(_cell(x), *map(_cell, values))
        return {"sticks": sticks, "curve": curve, "convergence": convergence}

    def record(self) -> dict[str, Any]:
        """Everything as plain numbers; positions in the unit of the problem, curves in that of curves."""
        omega = self.grid()
        found = []
        for k, (state, spectra) in enumerate(zip(self.states, self.spectra, strict=True)):
            found.append(
                {
                    "kind": state.kind,
                    "energy": state.energy,
                    "variance": state.variance,
                    "configurations": len(state.configurations),
                    "complete": state.complete,
                    "channels": [self._channel(c, s) for c, s in zip(self.channels, spectra, strict=True)],
                    "peaks": self.peaks(k),
                    **self._sums(state, spectra),
                    "curves": self.curves(omega, k).tolist(),
                }
            )
        return {
            "operator": self.operator,
            "title": _title(self.problem),
            "energy_unit": self.problem.unit,
            "unit": self.unit,
            "factor": self.factor,
            "broadening": self.options.width,
            "shape": self.options.shape,
            "omega": omega.tolist(),
            "states": found,
        }

    def _channel(self, channel: Channel, spectrum: Spectrum) -> dict[str, Any]:
        record = {
            "label": channel.label,
            **(channel.facts or {}),
            **spectrum.record(),
            "strengths": self.strengths(spectrum).tolist(),
        }
        if isinstance(self.problem, Molecule) and channel.changed is not None:
            record["dyson"] = _dyson(channel, spectrum)
        return record

    def _sums(self, state: KnownState, spectra: Sequence[Spectrum]) -> dict[str, Any]:
        if self.operator == "dipole":
            total = float(sum(self.strengths(s).sum() for s in spectra))
            return {"strength_sum": total, "electrons": sum(self.problem.particles)}
        if self.operator != "current":
            return {}
        sums = {c.label: self._optical(state, c, s) for c, s in zip(self.channels, spectra, strict=True)}
        return {"optical": sums}

    def _optical(self, state: KnownState, channel: Channel, spectrum: Spectrum) -> dict[str, float]:
        """Drude weight and f-sum of a direction, in units of t."""
        assert isinstance(self.problem, Lattice)
        ways = bond_terms(self.problem)[2][:, AXES.index(channel.label)]
        kinetic = -state.mean(kinetic_terms(self.problem, ways**2)).real
        regular = float(self.strengths(spectrum).sum())
        total = np.pi / (2 * self.problem.n_sites) * kinetic
        return {"drude": 2.0 * (total - regular), "regular": regular, "f_sum": total, "kinetic": kinetic}


def response_of(
    problem: Lattice | Molecule,
    state: KnownState,
    operator: str,
    channels: Sequence[Channel],
    options: ResponseOptions | None = None,
    *,
    note: Note = lambda what: None,
) -> Response:
    """Return the response of a state to the channels of an operator.

    Args:
        problem: The problem.
        state: psi, listed.
        operator: Name of the operator.
        channels: Its `nnbf.response.named_operators.channels`.
        options: Space and curves; the operator and momenta in it are not looked at.
        note: Told what is being done.

    Raises:
        InputError: The operator vanishes on the state in all channels, or the unit is that of another kind.
    """
    options = ResponseOptions() if options is None else options
    if options.unit != "auto" and (options.unit == "t") != isinstance(problem, Lattice):
        raise InputError(f"unit {options.unit}: give eV or Hartree of molecules, t of lattices")
    states = [state, *([state.eigenvector()] if options.yardstick else [])]
    kept: list[Channel] = []
    found: list[list[Spectrum]] = []
    vanishing: list[str] = []
    for channel in channels:
        try:
            spectra = [
                spectrum_of(one, channel, max_space=options.max_space, steps=options.steps, note=note)
                for one in states
            ]
        except InputError:
            vanishing.append(channel.label)
            continue
        kept.append(channel)
        found.append(spectra)
    if not kept:
        raise InputError(f"operator {operator} vanishes on this state: it has no response")
    warnings = [f"{operator} {label} vanishes on this state" for label in vanishing]
    by_state = tuple(zip(*found, strict=True))
    incomplete = [s.space for s in by_state[0] if not s.complete]
    if incomplete:
        warnings.append(
            f"the space of {max(incomplete):,} configurations does not hold all that H reaches: positions "
            "are those of this space, see how they converge with its size; max_space makes it larger"
        )
    return Response(problem, operator, options, tuple(kept), tuple(states), by_state, tuple(warnings))


def _title(problem: Lattice | Molecule) -> str:
    if isinstance(problem, Lattice):
        return problem.title
    return " / ".join(
        part for part in (problem.info.name or problem.info.formula, problem.info.basis) if part
    )


def _dyson(channel: Channel, spectrum: Spectrum) -> list[dict[str, Any]]:
    """Dyson orbitals <b|c_p|psi> over the orbitals of the channel, of the strongest poles, rising."""
    order = np.argsort(-spectrum.weights)[:MOST_DYSON]
    return [
        {
            "position": float(spectrum.positions[k]),
            "norm": float(spectrum.weights[k]),
            "coefficients": np.real(spectrum.amplitudes[k]).tolist(),
        }
        for k in sorted(order)
        if spectrum.weights[k] > LEAST_DYSON
    ]


def _cell(value: float) -> Cell:
    return Cell(f"{value:.8g}", value)
