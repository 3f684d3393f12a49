"""The method of a run: in one line for a table, and as data for a record."""

from collections.abc import Mapping
from typing import Any

from nnbf.report import numbers
from nnbf.report.runs import RunRecord

_HOW = {"selected": "selected determinants", "vmc": "variational Monte Carlo"}
_LATTICE_NETWORK = (
    "features",
    "depth",
    "kernel",
    "backflow",
    "n_determinants",
    "cell",
    "orbitals",
    "jastrow",
    "network_jastrow",
)
_MOLECULE_NETWORK = ("hidden", "n_determinants", "blocked", "spin_flip")


def settings(run: RunRecord) -> Mapping[str, Any]:
    """Return the options of the solver as resolved."""
    return run.config.get("options") or run.config.get("solver") or {}


def method_line(run: RunRecord) -> str:
    """Return the method in words: "neural backflow (MLP 128, 2 determinants), selected determinants"."""
    options = settings(run)
    if run.is_lattice:
        return _lattice_line(run, options)
    inside = []
    if options.get("hidden"):
        inside.append("MLP " + "-".join(map(str, options["hidden"])))
    inside += _determinants(options)
    method = str(run.result.get("method") or run.config.get("method") or "")
    return _line("neural backflow", inside, [_HOW.get(method, method)])


def architecture(run: RunRecord) -> dict[str, Any]:
    """Return the wave function as data: its kind and those options that shape it."""
    options = settings(run)
    keys = _LATTICE_NETWORK if run.is_lattice else _MOLECULE_NETWORK
    kind = "equivariant convolutional backflow" if run.is_lattice else "backflow of a multilayer perceptron"
    return {
        "kind": kind,
        **{key: options[key] for key in keys if key in options},
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


def _lattice_line(run: RunRecord, options: Mapping[str, Any]) -> str:
    inside = []
    if options.get("features") and options.get("depth"):
        inside.append(f"CNN of {options['depth']} layers, {options['features']} features")
    inside += _determinants(options)
    if options.get("jastrow"):
        inside.append("Jastrow factor")
    plain = options.get("backflow") == "none"
    how = {"full_sum": "full sums", "vmc": "variational Monte Carlo", "exact": "exact diagonalisation"}
    kind = str(run.result.get("energy_kind") or "")
    return _line(
        "Slater determinants" if plain else "equivariant neural backflow",
        inside,
        [sector_words(run.result.get("sector")), how.get(kind, "")],
    )


def _determinants(options: Mapping[str, Any]) -> list[str]:
    count = options.get("n_determinants")
    if not isinstance(count, int):
        return []
    return [f"{numbers.count(count)} determinant{'s' if count != 1 else ''}"]


def _line(name: str, inside: list[str], rest: list[str]) -> str:
    head = f"{name} ({', '.join(inside)})" if inside else name
    return ", ".join([head, *(word for word in rest if word)])
