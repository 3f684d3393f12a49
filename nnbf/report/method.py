"""The method of a run: in one line for a table, and as data for a record."""

from collections.abc import Mapping
from typing import Any

from nnbf import _text
from nnbf.report.reading import RunRecord

_HOW = {
    "selected": "selected determinants",
    "vmc": "variational Monte Carlo",
    "full_sum": "full sums",
    "exact": "exact diagonalisation",
}
_NETWORK = (
    "network", "network_options", "hidden", "blocked", "spin_flip", "features", "depth", "kernel", "backflow",
    "n_determinants", "cell", "orbitals", "jastrow", "network_jastrow",
)  # fmt: skip


def settings(run: RunRecord) -> Mapping[str, Any]:
    """Return the options of the solver as resolved, groups of options flattened."""
    found: dict[str, Any] = {}
    for key, value in (run.config.get("options") or {}).items():
        found.update(value if isinstance(value, Mapping) else {key: value})
    return found


def method_line(run: RunRecord) -> str:
    """Return the method in words: "neural backflow (MLP 128, 2 determinants), selected determinants"."""
    options, inside = settings(run), []
    if options.get("network"):
        method = str(run.result.get("energy_kind") or run.config.get("method") or "")
        given = f" ({options['network_options']})" if options.get("network_options") else ""
        rest = [sector_words(run.result.get("sector")), _HOW.get(method, method)]
        return ", ".join([f"network {options['network']}{given}", *(word for word in rest if word)])
    if run.is_lattice:
        name = "Slater determinants" if options.get("backflow") == "none" else "equivariant neural backflow"
        if options.get("features") and options.get("depth"):
            inside.append(f"CNN of {options['depth']} layers, {options['features']} features")
        rest = [sector_words(run.result.get("sector")), _HOW.get(str(run.result.get("energy_kind")), "")]
    else:
        name = "neural backflow"
        if options.get("hidden"):
            inside.append("MLP " + "-".join(map(str, options["hidden"])))
        method = str(run.result.get("method") or run.config.get("method") or "")
        rest = [_HOW.get(method, method)]
    count = options.get("n_determinants")
    if isinstance(count, int):
        inside.append(f"{_text.count(count)} determinant{'s' if count != 1 else ''}")
    if run.is_lattice and options.get("jastrow"):
        inside.append("Jastrow factor")
    head = f"{name} ({', '.join(inside)})" if inside else name
    return ", ".join([head, *(word for word in rest if word)])


def architecture(run: RunRecord) -> dict[str, Any]:
    """Return the wave function as data: its kind and those options that shape it."""
    options = settings(run)
    kind = "equivariant convolutional backflow" if run.is_lattice else "backflow of a multilayer perceptron"
    kind = str(options.get("network") or kind)
    return {
        "kind": kind,
        **{key: options[key] for key in _NETWORK if key in options},
        "n_parameters": run.result.get("n_parameters"),
    }


def sector_words(sector: Mapping[str, Any] | None) -> str:
    """Return a sector in words: "momentum (0,0), B2, even spin", with a total spin that was projected on."""
    if not sector:
        return ""
    words = []
    if sector.get("momentum") is not None:
        words.append(f"momentum ({','.join(map(str, sector['momentum']))})")
    if sector.get("irrep"):
        words.append(str(sector["irrep"]))
    if sector.get("spin_flip") in (1, -1):
        words.append("even spin" if sector["spin_flip"] == 1 else "odd spin")
    if sector.get("total_spin") is not None:
        words.append(f"projected on total spin {sector['total_spin']:g}")
    return ", ".join(words)


def code_reference(run: RunRecord) -> str:
    """Return the program behind a number: "nnbf 0.1.0 (commit 0123456789)"."""
    versions, git = run.result.get("versions") or {}, run.config.get("git")
    name = f"nnbf {versions.get('nnbf') or ''}".strip()
    if not git or not git.get("commit"):
        return name
    changed = ", with changes" if git.get("modified") else ""
    return f"{name} (commit {str(git['commit'])[:10]}{changed})"
