"""Plots of a measurement. The only module that imports matplotlib, when needed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidream.core.errors import OutputError, VidreamError
from vidream.measure import NOTHING, Report
from vidream.media.atomic import AtomicFile, cannot_write
from vidream.media.checks import check_output
from vidream.media.places import Place, parse_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
_GREY = "#777777"


def check_plot(path: str | os.PathLike[str], *read: Place, overwrite: bool = False) -> None:
    """Check early that a plot can be made and written, and replaces no file that is ``read``.

    Raises:
        OutputError: it cannot be written there, or is no ``.png``.
        VidreamError: matplotlib is not installed.
    """
    place = Path(path)
    if place.suffix.lower() != ".png":
        raise OutputError(f"a plot is a .png, not {place.name}: choose another name")
    for other in read:
        check_output(place, parse_source(other), overwrite=overwrite)
    _figure()


def plot(report: Report, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Plot strength, warping error, color and residual over time, atomically.

    Raises:
        OutputError: it cannot be written, or exists already.
        VidreamError: matplotlib is not installed.
    """
    figure = _figure()
    rows = figure.subplots(4, 1, sharex=True, height_ratios=(2, 3, 3, 2))
    for axes, draw in zip(
        rows, (_draw_strength, _draw_errors, _draw_colour, _draw_residual), strict=True
    ):
        draw(axes, report)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    rows[-1].set_xlabel("frame")
    _save(figure, Path(path), overwrite)


def _draw_strength(axes: Axes, report: Report) -> None:
    values = [(frame.index, frame.strength) for frame in report.frames]
    axes.plot(*_series(values), color=_COLOURS[0], label="over the source")
    sampled = [(f.index, f.scratch.strength) for f in report.frames if f.scratch is not None]
    if sampled:
        label = "over a dream from scratch"
        axes.plot(*_series(sampled), "o", markersize=4, color=_COLOURS[1], label=label)
    axes.axhline(1, color=_GREY, linewidth=0.8)
    axes.set_ylim(bottom=min(0, *axes.get_ylim()))
    axes.set_ylabel("strength")


def _draw_errors(axes: Axes, report: Report) -> None:
    for colour, lag in zip(cycle(_COLOURS), (e.lag for e in report.summary.errors), strict=False):
        found = [(f.index, e) for f in report.frames for e in f.errors if e.lag == lag]
        true = [
            (frame.index, error.dream)
            for frame in report.frames
            for error in frame.true_errors
            if error.lag == lag and error.region == "all" and error.dream > NOTHING
        ]
        label = f"dream, {lag} frame{'s' * (lag > 1)} apart"
        lines: list[tuple[list[tuple[int, float]], dict[str, Any]]] = [
            ([(index, e.dream) for index, e in found], {"label": label}),
            (
                [(index, e.source) for index, e in found],
                {"label": "its source", "linestyle": "--", "linewidth": 1},
            ),
        ]
        if true:
            lines.append((true, {"label": f"{label}, true motion", "linestyle": ":"}))
        for points, style in lines:
            # A logarithmic axis has no place for 0, which is what a still source gives.
            seen = [(index, value if value > NOTHING else None) for index, value in points]
            # A lone point is no line, and would not be seen.
            lone = sum(value is not None for _, value in seen) < 2
            marker = "." if lone or points is true else ""
            axes.plot(*_series(seen), color=colour, marker=marker, **style)
            if any(value is not None for _, value in seen):
                axes.set_yscale("log")
    axes.set_ylabel("warping error")


def _draw_colour(axes: Axes, report: Report) -> None:
    for colour, name in zip(_COLOURS, ("brightness", "contrast", "saturation"), strict=False):
        dream = [(frame.index, getattr(frame.dream, name)) for frame in report.frames]
        source = [(frame.index, getattr(frame.source, name)) for frame in report.frames]
        axes.plot(*_series(dream), color=colour, label=f"{name}, dream")
        axes.plot(*_series(source), "--", color=colour, linewidth=1, label="its source")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("0 to 1")


def _draw_residual(axes: Axes, report: Report) -> None:
    found = [(f.index, f.residual) for f in report.frames if f.residual is not None]
    named = {"chroma": "chroma over luma", "fine": "share above 1/8 cycle a pixel", "rms": "RMS"}
    for colour, (name, label) in zip(_COLOURS, named.items(), strict=False):
        values = [(index, getattr(residual, name)) for index, residual in found]
        axes.plot(*_series(values), color=colour, label=label)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("residual")


def _series(points: Sequence[tuple[int, float | None]]) -> tuple[list[int], list[float]]:
    """Return x and y; NaN for None, which leaves a gap in a line."""
    return [x for x, _ in points], [math.nan if y is None else y for _, y in points]


def _figure() -> Figure:
    # Drawn through the object interface: pyplot keeps global state and looks for a display.
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise VidreamError(
            "a plot needs matplotlib, which is not installed: pip install 'vidream[plot]'"
        ) from error
    figure = Figure(figsize=(10, 10), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path, overwrite: bool) -> None:
    draft = AtomicFile(path, overwrite=overwrite)
    try:
        figure.savefig(draft.path, format="png")
    except OSError as error:
        draft.discard()
        raise cannot_write(path, error) from error
    except BaseException:
        draft.discard()
        raise
    draft.commit()
