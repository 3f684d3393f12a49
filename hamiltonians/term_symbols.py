"""Names of molecular states: 2S + 1 and the irrep of the full point group, such as 1Pig, 3Sigu+, 1A2, 3Pu.

A state is computed in an irrep of an Abelian subgroup. Which irrep of the full group it belongs to follows
from those of all states that are degenerate with it. In linear molecules pairs are told apart as Pi and
Delta; those of larger Lambda, which have the same pairs, lie higher.
"""

from collections.abc import Sequence

_LINEAR = {
    "Dooh": {
        ("Ag",): "Sigg+",
        ("B1g",): "Sigg-",
        ("B1u",): "Sigu+",
        ("Au",): "Sigu-",
        ("B2g", "B3g"): "Pig",
        ("B2u", "B3u"): "Piu",
        ("Ag", "B1g"): "Delg",
        ("Au", "B1u"): "Delu",
    },
    "Coov": {
        ("A1",): "Sig+",
        ("A2",): "Sig-",
        ("B1", "B2"): "Pi",
        ("A1", "A2"): "Del",
    },
}
_CS = {("A'",): "A1", ('A"',): "A2", ('A"', "A'"): "E"}
_PRISM = {
    ("A1",): "A1'",
    ("A2",): 'A1"',
    ("A1", "B1"): "E'",
    ("A1", "B2"): "E'",
    ("A2", "B1"): 'E"',
    ("A2", "B2"): 'E"',
}
_TERMS = {**_LINEAR, "C3v": _CS, "C5v": _CS, "C7v": _CS, "D3h": _PRISM}
_LETTERS = "SPDFGHIKLMN"
_DEGENERATE = {2: "E", 3: "T", 4: "G", 5: "H"}


def spatial_irrep(irreps: Sequence[str], full: str, abelian: str | None) -> str:
    """Name of an irrep of the full point group from those of the Abelian group that it falls into.

    Args:
        irreps: Abelian irreps of all states of the level.
        full: The full group: "Dooh", "Coov", "SO3" (atoms), "C3v", ...; empty where unknown.
        abelian: The Abelian group.

    Returns:
        A name of the full group where the Abelian irreps tell; of another degenerate level E, T, G or H with
        its parity; else the Abelian irrep itself.
    """
    names = tuple(sorted(irreps))
    if full == "SO3":
        parity = {name[-1] for name in names if name[-1] in "gu"}
        if len(names) % 2 and len(parity) == 1 and len(names) // 2 < len(_LETTERS):
            return _LETTERS[len(names) // 2] + parity.pop()
    known = _TERMS.get(full, {}).get(names)
    if known is not None:
        return known
    if len(names) == 1:
        return names[0]
    parities = {name[-1] for name in names}
    parity_mark = parities.pop() if len(parities) == 1 and parities <= {"g", "u"} else ""
    return f"{_DEGENERATE.get(len(names), f'{len(names)}x')}{parity_mark}"


def term_symbol(spin: float, irrep: str) -> str:
    """Name of a state, such as 3Sigu+: 2S + 1 before the irrep."""
    return f"{round(2 * spin) + 1}{irrep}"


def abelian_parts(irrep: str, full: str, abelian: Sequence[str]) -> tuple[str, ...]:
    """Abelian irreps that the states of an irrep of the full group may lie in; none where there is no such.

    Args:
        irrep: Name of an irrep, of the full group or the Abelian one.
        full: The full group.
        abelian: Irreps of the Abelian group.
    """
    found = {part for parts, name in _TERMS.get(full, {}).items() if name == irrep for part in parts}
    if full == "SO3" and irrep[:1] in _LETTERS and irrep[1:] in ("g", "u"):
        found = {name for name in abelian if name.endswith(irrep[1:])}
    if irrep.rstrip("gu") in _DEGENERATE.values() and not found and full not in _LINEAR:
        parity = irrep[1:]
        found = {name for name in abelian if name.endswith(parity)}
    return tuple(sorted(found & set(abelian))) or ((irrep,) if irrep in abelian else ())


def irrep_names(full: str, abelian: Sequence[str]) -> tuple[str, ...]:
    """Irreps that may be asked for, by name."""
    own = dict.fromkeys(_TERMS.get(full, {}).values())
    if full == "SO3":
        own = {letter + parity: None for letter in _LETTERS[:4] for parity in "gu"}
    return (*own, *(name for name in abelian if name not in own))
