"""What takes how long, and how many operations it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vidream import Dreamer, FrameReport, Reporter

LONE = ((256, 90, 160), (512, 45, 80), (512, 90, 160))  # channels, height, width
LONE_ON_GPU = (*LONE, (256, 270, 480), (512, 180, 320))
SPAN = 0.02  # seconds: what is shorter is repeated within a round

Works = dict[Any, Callable[[], object]]


class FrameTimes(Reporter):
    """When each frame was done, with its report."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, FrameReport]] = []

    def frame(self, report: FrameReport) -> None:
        self.frames.append((time.perf_counter(), report))


def seconds(work: Callable[[], object], times: int = 1) -> float:
    _wait()
    began = time.perf_counter()
    for _ in range(times):
        work()
    _wait()
    return (time.perf_counter() - began) / times


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def least(works: Mapping[Any, Callable[[], object]], rounds: int) -> dict[Any, float]:
    """Give the least seconds of each; they take turns, after a call to warm up."""
    for work in works.values():
        work()
    times = {key: math.ceil(min(50, SPAN / seconds(work))) for key, work in works.items()}
    taken = [{key: seconds(work, times[key]) for key, work in works.items()} for _ in range(rounds)]
    return {key: min(turn[key] for turn in taken) for key in works}


def lone(device: torch.device, types: Iterable[torch.dtype]) -> tuple[Works, dict[Any, int]]:
    """Give 3×3 convolutions and their FLOPs, by type, direction and shape."""
    works: Works = {}
    flops: dict[Any, int] = {}
    for dtype in types:
        for channels, *size in LONE_ON_GPU if device.type == "cuda" else LONE:
            x = torch.randn(1, channels, *size).to(device, dtype)
            w = (torch.randn(channels, channels, 3, 3) / 50).to(device, dtype)
            x, w = (t.to(memory_format=torch.channels_last) for t in (x, w))
            ways = {
                "forward": lambda x=x, w=w: F.conv2d(x, w, padding=1),
                "backward": lambda x=x, w=w: backward_to_input(x, w),
            }
            for way, work in ways.items():
                works[dtype, way, channels, *size] = work
                flops[dtype, way, channels, *size] = 2 * 9 * channels**2 * math.prod(size)
    return works, flops


def backward_to_input(gradient: Tensor, weight: Tensor) -> Tensor:
    """Lead a gradient through a 3×3 convolution whose input is of the same shape."""
    ones, wanted = [1, 1], [True, False, False]
    back = torch.ops.aten.convolution_backward
    given: Tensor = back(
        gradient, gradient, weight, None, ones, ones, ones, False, [0, 0], 1, wanted
    )[0]
    return given


def convolution_flops(dreamer: Dreamer, image: Tensor) -> tuple[int, int]:
    """Count the FLOPs of a gradient step's convolutions: forward, backward."""
    with FlopCounterMode(display=False) as counter:
        dreamer.compute_gradient(image)
    counts = counter.get_flop_counts()["Global"]
    aten = torch.ops.aten
    return counts[aten.convolution], counts[aten.convolution_backward]
