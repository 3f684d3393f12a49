"""Collect what `gpu.py` needs on a machine that nothing can be fetched from: systems, networks, wheels.

Systems are saved with integrals, exact energies and the specification of their network, so that the other
machine needs no PySCF; wheels are those of this environment's versions, without what comes with JAX there.

    python benchmarks/gpu_bundle.py bundle                 # systems and wheels
    python benchmarks/gpu_bundle.py bundle --no-wheels     # systems alone

and there

    python -m venv --system-site-packages env
    env/bin/pip install --no-deps --no-index bundle/wheels/*.whl
    env/bin/python benchmarks/gpu.py --systems bundle/systems
"""

import argparse
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from _measure import write_json
from packaging.requirements import Requirement

CASES = ("Li2O/STO-3G", "N2/cc-pVDZ, 2.118 bohr", "H12, sheet 3x4, 1.8 A", "H16, sheet 4x4, 1.8 A")
"""Molecules of `gpu.py`."""
THERE = {
    *(
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "numpy",
        "scipy",
        "ml-dtypes",
        "opt-einsum",
        "rich",
        "tqdm",
        "msgpack",
    ),
    *("numba", "llvmlite"),
    *("orbax-checkpoint", "tensorstore", "chex", "absl-py", "toolz", "etils", "pyyaml", "treescope"),
}
"""Come with JAX, or with Numba, on the other machine."""
LEFT_OUT = {"pyscf", "openfermion", "matplotlib", "nnbf"}
"""Not needed there."""
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014")


def main() -> int:
    """Write both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheels", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", default="", help="systems whose name has this in it")
    given = parser.parse_args()
    for name in CASES:
        if given.only in name:
            print(save_system(name, given.folder / "systems"), flush=True)
    if given.wheels:
        collect_wheels(given.folder / "wheels")
    return 0


def save_system(name: str, folder: Path) -> Path:
    """Save one molecule with the network and the options that `nnbf molecule --method auto` would take."""
    from when_it_wins import CASES as SPECS
    from when_it_wins import KNOWN

    from hamiltonians.molecule.spec import MoleculeSpec
    from nnbf.ansatz import ansatz_spec
    from nnbf.drivers import SolverOptions
    from nnbf.drivers.kind_of_state import suited_run
    from nnbf.drivers.selected_space import make_model

    n2 = MoleculeSpec("N 0 0 0; N 0 0 2.118", "cc-pvdz", unit="bohr")
    spec = SPECS.get(name, n2)
    exact = KNOWN.get(name)
    system = replace(spec, fci_limit=30_000_000 if exact is None and name in SPECS else 0).build()
    run = suited_run(system, spec, SolverOptions())
    folder.mkdir(parents=True, exist_ok=True)
    path = run.system.save(folder / f"{file_name(name)}.npz")
    options = {key: value for key, value in asdict(run.options).items() if _is_plain(value)}
    write_json(
        path.with_suffix(".json"),
        {
            "name": name,
            "method": run.method,
            "options": options,
            "network": ansatz_spec(make_model(run.system, run.options)),
            "exact": exact if exact is not None else system.references.get("fci"),
        },
    )
    return path


def file_name(name: str) -> str:
    """Name of a case in files."""
    return "".join(c if c.isalnum() else "_" for c in name.lower())


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str | tuple)


def collect_wheels(folder: Path) -> None:
    """Fetch the wheels that nnbf needs and JAX does not bring, in the versions of this environment."""
    wanted = sorted(f"{name}=={distribution(name).version}" for name in needed("nnbf"))
    platforms = [word for tag in PLATFORMS for word in ("--platform", f"{tag}_x86_64")]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", version, *platforms, "--dest", str(folder), *wanted]
    subprocess.run(command, check=True)
    print(f"{len(wanted)} wheels in {folder}")


def needed(root: str) -> set[str]:
    """Distributions that one requires, directly or not, without what is there or left out."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        try:
            requirements = distribution(waiting.pop()).requires or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, requirements):
            name = requirement.name.lower().replace("_", "-")
            acts = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if acts and name not in found | THERE | LEFT_OUT:
                found.add(name)
                waiting.append(name)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
