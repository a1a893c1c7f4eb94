"""Compute devices and dtypes."""

import torch

from vidream.core.errors import DeviceError

# What ``auto`` takes: the first that is there.
AUTO = ("cuda", "mps", "cpu")


def choose_device(name: str) -> torch.device:
    """Return the device of that name, or for ``auto`` the first of :data:`AUTO`.

    Raises:
        DeviceError: there is no such device, or they are several.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device in AUTO if present[device])
    if "," in name:
        raise DeviceError(f"one `device` is needed here, not {name}")
    kind, _, number = name.partition(":")
    if not present[kind]:
        raise DeviceError(
            f"no {kind.upper()} device that this PyTorch can use; leave `device` out, or set it "
            "to cpu"
        )
    if number and int(number) >= torch.cuda.device_count():
        raise DeviceError(
            f"there is no {name}: the last one is cuda:{torch.cuda.device_count() - 1}"
        )
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """Return what the last bits of a result depend on: the kind of device, and how it computes."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    return device.type


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype in which a network computes on that device.

    ``auto`` takes bfloat16 where it is native, which is two to four times as fast. Images and
    updates are float32 in any case: only the direction of a step is rounded.
    """
    if name != "auto":
        return torch.float32 if name == "float32" else torch.bfloat16
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = device.type == "cpu" and _cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def _cpu_has_bfloat16() -> bool:
    # Emulated bfloat16 is slower than float32, and "supported" in most of PyTorch's own answers.
    return any(
        getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile")
    )
