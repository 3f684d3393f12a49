"""Chemical symbols, so that a geometry can be read without any chemistry package."""

_PERIODIC_TABLE = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br "
    "Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho "
    "Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es "
    "Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
_SYMBOLS = tuple(_PERIODIC_TABLE.split())

ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(_SYMBOLS, start=1)}
"""Nuclear charge of every element by its symbol."""


def element_symbol(text: str) -> str | None:
    """Return the element that `text` names, or None: "n", "N1" and "7" all name nitrogen.

    A symbol may carry a label ("H1", "O_a"); a bare number is a nuclear charge; D and T are H.
    """
    if text.isdigit():
        number = int(text)
        return _SYMBOLS[number - 1] if 1 <= number <= len(_SYMBOLS) else None
    letters = ""
    for character in text:
        if not character.isalpha():
            break
        letters += character
    symbol = letters.capitalize()
    if symbol in ("D", "T"):
        return "H"
    return symbol if symbol in ATOMIC_NUMBERS else None


def hill_formula(symbols: list[str] | tuple[str, ...]) -> str:
    """Return the formula in Hill's order: carbon, hydrogen, then the alphabet."""
    counts = {symbol: symbols.count(symbol) for symbol in sorted(set(symbols))}
    order = sorted(counts)
    if "C" in counts:
        order = ["C", *(["H"] if "H" in counts else [])]
        order += [symbol for symbol in sorted(counts) if symbol not in order]
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order)
