"""A page in one file: style, dark mode and pieces of HTML, with everything escaped."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --muted: #5d6773; --line: #e1e5ea;
  --tint: #f5f7f9; --accent: #1f5fd0; --good: #12734f; --bad: #b42318; --warn-paper: #fff6e0;
  --warn-line: #e0a100; }
@media (prefers-color-scheme: dark) { :root { --paper: #16191e; --ink: #e7eaee; --muted: #98a2ae;
  --line: #2b3038; --tint: #1d2127; --accent: #7fa9ff; --good: #56c596; --bad: #ff8a7a;
  --warn-paper: #2d2611; --warn-line: #c99a1c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.05rem; margin: 2.25rem 0 .6rem; }
p { margin: .4rem 0; }
.quiet { color: var(--muted); font-size: .9rem; }
.headline { font-size: clamp(1.7rem, 6vw, 2.6rem); font-weight: 650; letter-spacing: -.01em;
  line-height: 1.15; margin: 1.4rem 0 .1rem; font-variant-numeric: tabular-nums; }
.headline small { font-size: .42em; font-weight: 500; color: var(--muted); letter-spacing: 0; }
.badge { display: inline-block; border: 1px solid currentColor; border-radius: 99px; padding: 0 .6rem;
  font-size: .8rem; font-weight: 600; vertical-align: .25em; margin-left: .5rem; color: var(--muted); }
.badge.good { color: var(--good); } .badge.bad { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(2, 1fr); gap: 1px;
  margin: 1.4rem 0; border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
@media (min-width: 40rem) { .tiles { grid-template-columns: repeat(4, 1fr); } }
.tiles div { box-shadow: 0 0 0 1px var(--line); padding: .6rem .8rem; }
.tiles dt { color: var(--muted); font-size: .78rem; } .tiles dd { margin: 0; font-weight: 600;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.warning { background: var(--warn-paper); border-left: 4px solid var(--warn-line); padding: .5rem .8rem;
  margin: .5rem 0; border-radius: 0 6px 6px 0; }
figure { margin: 0; } figure img { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: .8rem; white-space: nowrap; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.note { color: var(--muted); font-size: .85rem; min-width: 9rem; }
td:first-child { white-space: nowrap; }
tr.main td { font-weight: 700; } tr.main td.note { font-weight: 400; }
tr.start td { border-top: 2px solid var(--muted); }
a { color: var(--accent); }
details { border-bottom: 1px solid var(--line); padding: .55rem 0; }
summary { cursor: pointer; font-weight: 600; }
dl.pairs { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .15rem 1.2rem;
  font-size: .9rem; margin: .6rem 0; }
dl.pairs dt { color: var(--muted); } dl.pairs dd { margin: 0; overflow-wrap: anywhere; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media print { details > * { display: block; } }
"""


def page(title: str, parts: Iterable[str], *, style: str = "", script: str = "") -> str:
    """Return a whole HTML page.

    Args:
        title: Its title.
        parts: Pieces of HTML.
        style: Further rules of style.
        script: A program that runs when the page is there.
    """
    program = f"<script>\n{script}</script>\n" if script else ""
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n{program}</body>\n</html>\n"
    )


def picture(images: Mapping[str, bytes], description: str) -> str:
    """Return an embedded plot that follows the colour scheme and the width of the reader's screen.

    Args:
        images: PNGs under "light" and, where there are such, "dark", "narrow-light", "narrow-dark".
        description: What it shows, in words.
    """
    conditions = {
        "narrow-dark": "(max-width: 40rem) and (prefers-color-scheme: dark)",
        "narrow-light": "(max-width: 40rem)",
        "dark": "(prefers-color-scheme: dark)",
    }
    sources = "".join(
        f'<source media="{condition}" srcset="{_data_address(images[name])}">'
        for name, condition in conditions.items()
        if name in images
    )
    image = f'<img src="{_data_address(images["light"])}" alt="{escape(description)}">'
    return f"<figure><picture>{sources}{image}</picture></figure>"


def _data_address(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    notes: Sequence[int] = (),
    classes: Sequence[str] = (),
    raw: Sequence[int] = (),
) -> str:
    """Return a table that scrolls sideways where it has to.

    Args:
        heads: Text of the header.
        rows: Text of the cells.
        numbers: Columns aligned to the right.
        notes: Columns in small print.
        classes: Class of every row, where given.
        raw: Columns whose cells are HTML already.
    """
    kinds = {**dict.fromkeys(numbers, "number"), **dict.fromkeys(notes, "note")}

    def cell(tag: str, index: int, text: str) -> str:
        style = f' class="{kinds[index]}"' if index in kinds else ""
        content = text if index in raw and tag == "td" else escape(text)
        return f"<{tag}{style}>{content}</{tag}>"

    lines = ["<tr>" + "".join(cell("th", k, text) for k, text in enumerate(heads)) + "</tr>"]
    for number, row in enumerate(rows):
        name = classes[number] if number < len(classes) else ""
        style = f' class="{name}"' if name else ""
        lines.append(f"<tr{style}>" + "".join(cell("td", k, text) for k, text in enumerate(row)) + "</tr>")
    return (
        f'<div class="wide"><table><thead>{lines[0]}</thead><tbody>{"".join(lines[1:])}</tbody></table></div>'
    )


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a row of small facts; those without a value are left out."""
    inner = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs if value
    )
    return f'<dl class="tiles">{inner}</dl>'


def pairs(title: str, content: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values that unfolds; nothing if it is empty."""
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in content)
    if not inner:
        return ""
    return f'<details><summary>{escape(title)}</summary><dl class="pairs">{inner}</dl></details>'


def warnings(messages: Iterable[str]) -> str:
    """Return warnings that cannot be overlooked."""
    return "".join(f'<p class="warning"><strong>Warning:</strong> {escape(text)}</p>' for text in messages)
