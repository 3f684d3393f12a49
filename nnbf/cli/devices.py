"""What runs would compute with: the command `nnbf devices`, and the lines of a plan about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge

from nnbf._options import Checked
from nnbf.cli.main import DONE
from nnbf.cli.parsing import parse_command

_NUMBERS = 8192  # that a network of the usual size makes of a configuration
_EXAMPLES = ("nnbf devices", "nnbf devices --devices 2", "srun nnbf devices")


@dataclass(frozen=True)
class DeviceChoice(Checked):
    """What would be used."""

    devices: Annotated[int, Ge(1)] | None = None
    """Devices of this machine, as with the commands that compute; left out: all."""


@dataclass(frozen=True)
class DevicesCommand:
    """Show the devices that runs compute with, their memory, and how a run is placed on them."""

    choice: DeviceChoice = field(default_factory=DeviceChoice)
    """What would be used."""


def devices(arguments: Sequence[str]) -> int:
    """Run `nnbf devices` and return its exit code."""
    command = parse_command(DevicesCommand, arguments, prog="nnbf devices", examples=_EXAMPLES)
    from nnbf._devices import use_devices

    use_devices(command.choice.devices)
    print("\n".join([*_device_lines(), *placement_lines()]))
    return DONE


def _device_lines() -> list[str]:
    import jax

    from nnbf._runtime import load_netket

    load_netket()
    lines = []
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        most, used = stats.get("bytes_limit"), stats.get("bytes_in_use", 0)
        memory = (
            "memory is that of the machine" if most is None else f"{_gib(most - used)} of {_gib(most)} free"
        )
        lines.append(f"device {device.id}: {device.device_kind} ({device.platform}), {memory}")
    return lines


def placement_lines(options: Any = None) -> list[str]:
    """Lines about where and how precisely a run with these options would compute."""
    from nnbf._compute import computing, on_device, single_passes
    from nnbf._devices import free_memory, placement, rows_at_once
    from nnbf._runtime import load_netket

    load_netket()
    found = placement()
    with computing(getattr(options, "compute", "auto"), getattr(options, "passes", "double")):
        there, single = on_device(), single_passes()
    where = "programs on the device" if there else "compiled kernels of the CPU"
    passes = (
        "passes without derivatives in single precision, all else double" if single else "double precision"
    )
    free = free_memory()
    rows = f"{rows_at_once(_NUMBERS):,} configurations at once"
    memory = "" if free is None else f" or so ({_gib(free)} free), fewer where memory fails"
    return [
        f"{found['count']} x {found['kind']}, processes: {found['processes']}; samples and V are spread over "
        "the devices, parameters are on each",
        f"amplitudes, connections and linear systems: {where}, {passes}",
        f"network: {rows}{memory}",
    ]


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
