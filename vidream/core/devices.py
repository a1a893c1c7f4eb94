"""Compute devices and dtypes."""

import torch

from vidream.core.errors import DeviceError

# What ``auto`` takes: the first that is there.
AUTO = ("cuda", "mps", "cpu")


def choose_device(name: str) -> torch.device:
    """Return the device of that name, or for ``auto`` the first of :data:`AUTO`.

    Raises:
        DeviceError: there is no such device.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device in AUTO if present[device])
    if not present[name]:
        raise DeviceError(
            f"no {name.upper()} device that this PyTorch can use; leave `device` out, or set it "
            "to cpu"
        )
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype in which a network computes on that device.

    ``auto`` takes bfloat16 where it is native, which is two to four times as fast. Images and
    updates are float32 in any case: only the direction of a step is rounded.
    """
    if name != "auto":
        return torch.float32 if name == "float32" else torch.bfloat16
    fast = {"cuda": _cuda_has_bfloat16, "cpu": _cpu_has_bfloat16}.get(device.type)
    return torch.bfloat16 if fast is not None and fast() else torch.float32


def _cuda_has_bfloat16() -> bool:
    return torch.cuda.get_device_capability() >= (8, 0)


def _cpu_has_bfloat16() -> bool:
    # Emulated bfloat16 is slower than float32, and "supported" in most of PyTorch's own answers.
    return any(
        getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile")
    )
