"""Results as tables and as a picture, and what they were measured on."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from vidream.core.devices import choose_device, choose_precision

Row = dict[str, str | float]


def machine() -> str:
    device = choose_device("auto")
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    parts = [model[1] if model else platform.processor() or platform.machine()]
    parts += [f"{os.cpu_count()} cores", f"torch {torch.__version__}"]
    parts += [str(choose_precision("auto", device))[6:]]
    if device.type == "cuda":
        tf32 = "with" if torch.backends.cudnn.allow_tf32 else "without"
        parts += [torch.cuda.get_device_name(), f"float32 {tf32} TF32"]
    return ", ".join(parts)


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table; numbers to four digits."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for line in cells:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)))
    sys.stdout.flush()


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def draw(path: str, title: str, steps: Sequence[Row], pipeline: Sequence[Row]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    rates, shares = figure.subplots(1, 2)
    for key in ("frames/s", "carried frames/s", "dreamer's carried frames/s"):
        rates.plot([r["size"] for r in pipeline], [r[key] for r in pipeline], "o-", label=key)
    for name in dict.fromkeys(row["network"] for row in steps):
        own = [row for row in steps if row["network"] == name]
        shares.plot([r["size"] for r in own], [r["share"] for r in own], "o-", label=name)
    figure.suptitle(title, fontsize=9)
    rates.set(ylabel="frames/s")
    rates.set_ylim(bottom=0)
    shares.set(ylabel="share of a lone convolution's GFLOP/s", ylim=(0, 1))
    for axes in (rates, shares):
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    figure.savefig(path)
