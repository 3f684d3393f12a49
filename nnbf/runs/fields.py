"""What must stand in the files of a run: kinds of values by field, with bounds; anything else is refused.

A layout is a dictionary: field -> kind. A kind is another layout, a list with the kind of all items,
`Each` of the values of a dictionary with any keys, or one of those below. Fields may be missing or null,
unless their kind is `Needed`; fields that a layout does not name may hold anything.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 1_000_000  # items
_NAME = re.compile(r"[^/\\\x00-\x1f]{0,40}")


@dataclass(frozen=True)
class Plain:
    """A kind of value that is neither list nor dictionary."""

    words: str
    """The kind, after "must be"."""
    fits: Callable[[Any], bool]
    """True of values of this kind."""


@dataclass(frozen=True)
class Each:
    """A dictionary with any text as keys."""

    kind: Any
    """Kind of its values."""


@dataclass(frozen=True)
class Needed:
    """A field that is neither missing nor null."""

    kind: Any
    """Its kind."""


def _is_number(value: Any) -> bool:
    # Files by other hands hold NaN for what is not known.
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) >= 1e100


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


NUMBER = Plain("a number below 1e100", _is_number)
WHOLE = Plain("a whole number", _is_whole)
COUNT = Plain("a whole number from 0 on", lambda value: _is_whole(value) and value >= 0)
PAIR = Plain(
    "two whole numbers",
    lambda value: isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_whole, value)),
)
PARITY = Plain("1 or -1", lambda value: _is_whole(value) and value in (1, -1))
TEXT = Plain("text", lambda value: isinstance(value, str))
NAME = Plain("a short name", lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value)))
FLAG = Plain("true or false", lambda value: isinstance(value, bool))
ANY = Plain("anything", lambda value: True)


def require_fields(found: Mapping[str, Any], layout: Mapping[str, Any], place: str) -> None:
    """Refuse a dictionary that does not have a layout.

    Args:
        found: The dictionary.
        layout: Kinds by field.
        place: Where it stands in its file: "levels.0"; empty at the top.

    Raises:
        ValueError: Names the first field that does not fit, and what it must be.
    """
    for key, kind in layout.items():
        where = f"{place}.{key}".lstrip(".")
        needed = isinstance(kind, Needed)
        if found.get(key) is not None:
            _require(found[key], kind.kind if needed else kind, where)
        elif needed:
            raise ValueError(f"{where} is missing")


def _require(value: Any, kind: Any, where: str) -> None:
    if isinstance(kind, Plain):
        if not kind.fits(value):
            raise ValueError(f"{where} must be {kind.words}")
    elif isinstance(kind, list):
        if not isinstance(value, list | tuple) or len(value) > _LONGEST:
            raise ValueError(f"{where} must be a list")
        for index, item in enumerate(value):
            _require(item, kind[0], f"{where}.{index}")
    elif not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a dictionary")
    elif isinstance(kind, Each):
        for key, item in value.items():
            if item is not None:
                _require(item, kind.kind, f"{where}.{key[:40]}")
    else:
        require_fields(value, kind, where)


# ---- layouts -------------------------------------------------------------------------------------

_ESTIMATE = {"energy": NUMBER, "error": NUMBER, "variance": NUMBER, "upper_bound": FLAG}
_MEASURED = {"value": NUMBER, "error": NUMBER}
_OBSERVABLES = {
    "dipole_debye": {"norm": Needed(NUMBER), "norm_error": NUMBER},
    "inverse_participation_ratio": _MEASURED,
    "double_occupancy": _MEASURED,
    "correlation_ratio": _MEASURED,
}
_SYSTEM = {
    "name": TEXT,
    "formula": TEXT,
    "basis": TEXT,
    "kind": TEXT,
    "geometry": TEXT,
    "size": [COUNT],
    "particles": [COUNT],
    "n_orbitals": COUNT,
    "n_electrons": COUNT,
    "fci_dimension": NUMBER,
    **dict.fromkeys(("t", "t_prime", "U", "V"), NUMBER),
}
_SECTOR = {"momentum": PAIR, "irrep": NAME, "spin_flip": PARITY, "label": TEXT, "total_spin": NUMBER}
_ENERGIES = dict.fromkeys(("energy", "variance", "v_score", "s_squared", "wall_time_s"), NUMBER)

_STATE = {
    **dict.fromkeys(("term", "multiplicity"), COUNT),
    **dict.fromkeys(("charge", "charge_change"), WHOLE),
    **dict.fromkeys(
        (
            *("excitation_energy", "excitation_ev", "excitation_pt2_ev", "excitation_extrapolated_ev"),
            *("excitation_error_ev", "oscillator_strength", "pole_strength", "single_excitations"),
            *("double_character", "second_order", "ritz_overlap"),
        ),
        NUMBER,
    ),
    "component": NAME,
    "transition_dipole": [NUMBER],
    "dyson_orbital": [NUMBER],
    "natural_transition_orbitals": [
        {"weight": Needed(NUMBER), "hole": Needed(COUNT), "particle": Needed(COUNT)}
    ],
}
"""What levels have that are states of a molecule."""

LEVEL = {
    **_ENERGIES,
    **_STATE,
    **dict.fromkeys(("error", "reference", "overlap"), NUMBER),
    "sector": Needed({**_SECTOR, "label": Needed(TEXT)}),
    "momentum": PAIR,
    "irrep": NAME,
    "spin_flip": PARITY,
    "particles": [COUNT],
    "level": Needed(COUNT),
    "kind": TEXT,
    "status": TEXT,
    "upper_bound": FLAG,
    "warnings": [TEXT],
    "vmc": _ESTIMATE,
    "roofline": Each(NUMBER),
    **dict.fromkeys(("n_steps", "n_determinants", "n_connected", "n_parameters"), COUNT),
}
"""An entry of ``levels`` in result.json."""

RESULT = {
    **_ENERGIES,
    "energy_error": NUMBER,
    "energy_kind": TEXT,
    "energy_unit": TEXT,
    "command": TEXT,
    "method": TEXT,
    "status": Needed(TEXT),
    "message": TEXT,
    "stopped_by": TEXT,
    "estimates": Needed(Each(_ESTIMATE)),
    "references": Each(NUMBER),
    "reference_notes": Each(TEXT),
    "truncation": {"correction": Needed(NUMBER), "n_dropped": Needed(COUNT), "references": Each(NUMBER)},
    "sector": _SECTOR,
    "system": _SYSTEM,
    "observables": _OBSERVABLES,
    "started_from": {"folder": Needed(TEXT)},
    "versions": Each(TEXT),
    "warnings": [TEXT],
    "devices": {"platform": TEXT, "kind": TEXT, "count": COUNT, "processes": COUNT},
    "evaluations_per_s": COUNT,
    **dict.fromkeys(("n_steps", "n_determinants", "n_connected", "n_parameters", "n_levels_wanted"), COUNT),
    "levels": Needed([LEVEL]),
}
"""result.json of format 2."""

CONFIG = {
    "command": Needed(TEXT),
    "run": TEXT,
    "method": TEXT,
    "options": Needed(Each(ANY)),
    "limits": Needed(Each(ANY)),
    "problem": Each(ANY),
    "sectors": Each(ANY),
    "checkpoint_interval": NUMBER,
    "command_line": TEXT,
    "created": TEXT,
    "system": _SYSTEM,
    "energy_unit": TEXT,
    "references": Each(NUMBER),
    "reference_notes": Each(TEXT),
    "versions": Each(TEXT),
    "git": {"commit": TEXT},
    "hardware": Each(ANY),
    "start": {"folder": TEXT},
    "resumed": [{"versions": Each(TEXT)}],
}
"""config.json of format 2."""

ROW = {
    "step": Needed(COUNT),
    **dict.fromkeys(
        ("energy", "energy_error", "time_s", "variance", "variational", "pt2", "full_sum", "vmc"), NUMBER
    ),
    "energy_kind": TEXT,
    "sector": TEXT,
    "level": COUNT,
    "particles": [COUNT],
    **dict.fromkeys(("n_space", "n_connected", "rewinds"), COUNT),
}
"""A line of history.jsonl."""

SNAPSHOT = {"elapsed_s": NUMBER, "driver": Needed({"step": Needed(COUNT), "variables": [ANY]})}
"""A checkpoint to resume from, of molecules and other problems without sectors."""

LATTICE_SNAPSHOT = {"elapsed_s": NUMBER, "rows": COUNT, "sector": TEXT, "level": COUNT, "particles": [COUNT]}
"""The same of lattices."""
