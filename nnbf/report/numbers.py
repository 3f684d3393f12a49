"""Numbers as people read them: one way for the page, the Markdown table and the comparison."""

import math
from typing import Any

MINUS = "−"


def energy(value: float | None) -> str:
    """Return an energy with eight decimals."""
    return "" if value is None else _signed(f"{value:.8f}")


def bracketed(value: float | None, uncertainty: float | None, *, digits: int = 8) -> str:
    """Return a number with the uncertainty of its last digits, such as "−107.6528(3)" or "0.5(12)".

    The uncertainty is rounded to one digit, or to two where these are 10 to 19.

    Args:
        value: The number.
        uncertainty: Its standard error; 0 or None for none.
        digits: Decimals of a number without one, and the most of any.
    """
    if value is None:
        return ""
    if not uncertainty or not math.isfinite(uncertainty):
        return _signed(f"{value:.{digits}f}")
    places = -math.floor(math.log10(uncertainty))
    if round(uncertainty * 10**places) == 1:
        places += 1
    places = min(max(places, 0), digits)
    last = max(round(uncertainty * 10**places), 1)
    return _signed(f"{value:.{places}f}({last})")


def error(value: float | None) -> str:
    """Return an uncertainty; nothing for sums that have none."""
    return f"{value:.1e}" if value else ""


def difference(value: float | None) -> str:
    """Return a difference in thousandths, with its sign; tiny ones in scientific notation."""
    if value is None:
        return ""
    if abs(value) < 1e-6:  # 1e-9 Hartree: less than references are converged to
        return "0"
    if abs(value) < 5e-4:
        return _signed(f"{value:+.0e}")
    return _signed(f"{value:+.3f}")


def count(value: int | None) -> str:
    """Return a whole number with thin spaces between thousands."""
    return "" if value is None else f"{value:,}".replace(",", "\u202f")


def small(value: float | None) -> str:
    """Return a number that may be tiny, such as a variance."""
    if value is None:
        return ""
    return "0" if value == 0 else _signed(f"{value:.2e}")


def seconds(value: float | None) -> str:
    """Return a duration: "8.3 s", "4 min 10 s", "2 h 05 min"."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def setting(value: Any) -> str:
    """Return the value of an option."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value)
    return str(value)


def _signed(text: str) -> str:
    return text.replace("-", MINUS)
