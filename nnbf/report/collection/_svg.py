"""Small charts as SVG inside a page, coloured by its style sheet: they follow light, dark and print."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN_DECADES = range(-3, 5)


@dataclass(frozen=True)
class Scale:
    """Maps values of an axis to pixels."""

    low: float
    """Value at `start`."""
    high: float
    """Value at `end`, above `low`."""
    start: float
    """First pixel."""
    end: float
    """Last pixel."""
    logarithmic: bool = False
    """Whether equal factors have equal lengths."""

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values beyond the ends are put there."""
        low, high, value = (self._of(v) for v in (self.low, self.high, min(max(value, self.low), self.high)))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return (value, label) of readable places, at most about `most`."""
        return self._decades(most) if self.logarithmic else self._steps(most)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def _decades(self, most: int) -> list[tuple[float, str]]:
        first, last = math.ceil(self._of(self.low) - 1e-9), math.floor(self._of(self.high) + 1e-9)
        stride = max(1, math.ceil((last - first + 1) / most))
        found = [(10.0**n, _power(n)) for n in range(first, last + 1) if n % stride == 0]
        if len(found) >= 2:
            return found
        values = (m * 10.0**n for n in range(first - 1, last + 1) for m in (1, 2, 5))
        return [(value, f"{value:g}") for value in values if self.low <= value <= self.high]

    def _steps(self, most: int) -> list[tuple[float, str]]:
        raw = (self.high - self.low) / most
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(m * size for m in (1, 2, 5, 10) if m * size >= raw)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [
            ((first + k) * step, f"{(first + k) * step:.{digits}f}".replace("-", "−")) for k in range(count)
        ]


def logarithmic_scale(values: Sequence[float], start: float, end: float, *, margin: float = 1.6) -> Scale:
    """Return a logarithmic scale that holds these positive values, with a factor of space around them."""
    return Scale(min(values) / margin, max(values) * margin, start, end, logarithmic=True)


def linear_scale(values: Sequence[float], start: float, end: float, *, margin: float = 0.04) -> Scale:
    """Return a linear scale that holds these values, with a share of space around them."""
    low, high = min(values), max(values)
    space = margin * (high - low) or 0.5 * max(abs(high), 1e-6) * 1e-3
    return Scale(low - space, high + space, start, end)


def svg(width: float, height: float, parts: Sequence[str], description: str, *, name: str = "") -> str:
    """Return a picture that fills its column up to its own width."""
    style = f' class="{name}"' if name else ""
    return (
        f'<svg{style} viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def line(points: Sequence[tuple[float, float]], name: str) -> str:
    """Return a line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{name}" points="{path}"/>'


def straight(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    """Return a straight line."""
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def box(x: float, y: float, width: float, height: float, name: str) -> str:
    """Return a filled rectangle."""
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def text(x: float, y: float, content: str, *, anchor: str = "start", name: str = "") -> str:
    """Return text; the anchor is start, middle or end."""
    style = f' class="{name}"' if name else ""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{style} x="{x:.1f}" y="{y:.1f}"{where}>{escape(content)}</text>'


def turned(x: float, y: float, content: str) -> str:
    """Return text that runs upwards, centred at a place."""
    where = f'transform="translate({x:.1f} {y:.1f}) rotate(-90)" text-anchor="middle"'
    return f"<text {where}>{escape(content)}</text>"


def dot(x: float, y: float, name: str, *, title: str = "", target: str = "", radius: float = 4.5) -> str:
    """Return a dot, with what it says when pointed at and the part of the page that it leads to."""
    said = f"<title>{escape(title)}</title>" if title else ""
    circle = f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">{said}</circle>'
    if not target:
        return circle
    return f'<a href="#{escape(target)}" aria-label="{escape(title)}">{circle}</a>'


def x_axis(scale: Scale, top: float, bottom: float, label: str, *, most: int = 6) -> str:
    """Return grid lines, ticks and the name of a horizontal axis."""
    parts = []
    for value, name in scale.ticks(most):
        x = scale(value)
        parts += [
            straight(x, top, x, bottom, "grid"),
            text(x, bottom + 16, name, anchor="middle", name="tick"),
        ]
    parts.append(straight(scale.start, bottom, scale.end, bottom, "axis"))
    parts.append(text((scale.start + scale.end) / 2, bottom + 34, label, anchor="middle"))
    return "".join(parts)


def y_axis(scale: Scale, left: float, right: float, label: str, *, most: int = 5) -> str:
    """Return grid lines, ticks and the name of a vertical axis."""
    parts = []
    for value, name in scale.ticks(most):
        y = scale(value)
        parts += [straight(left, y, right, y, "grid"), text(left - 6, y + 4, name, anchor="end", name="tick")]
    parts.append(straight(left, scale.start, left, scale.end, "axis"))
    parts.append(turned(12, (scale.start + scale.end) / 2, label))
    return "".join(parts)


def thinned(points: Sequence[tuple[float, float]], most: int = 160) -> list[tuple[float, float]]:
    """Return some of many points, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(k * last / (most - 1))] for k in range(most)]


def _power(exponent: int) -> str:
    if exponent in _PLAIN_DECADES:
        return f"{10.0**exponent:g}"
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"
