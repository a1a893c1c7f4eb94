"""A measurement as a picture. The only module that imports matplotlib, and only when asked."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidream.drafts import Draft, cannot_write, check_place
from vidream.errors import OutputError, VidreamError
from vidream.measure import NOTHING, Report
from vidream.media import Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
_GREY = "#777777"


def check_plot(path: str | os.PathLike[str], *read: Place, overwrite: bool = False) -> None:
    """Find out early whether a plot can be made and put there.

    Args:
        path: where it shall be.
        read: files that must not be replaced by it.
        overwrite: whether an older file may.

    Raises:
        OutputError: it cannot be written there, or is no ``.png``.
        VidreamError: matplotlib is not installed.
    """
    place = Path(path)
    if place.suffix.lower() != ".png":
        raise OutputError(f"a plot is a .png, not {place.name}: choose another name")
    for other in read:
        check_place(place, other, overwrite=overwrite)
    _figure()


def plot(report: Report, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Draw strength, warping error, looks and residual over time; the file appears when whole.

    Raises:
        OutputError: it cannot be written there, or is there already.
        VidreamError: matplotlib is not installed.
    """
    figure = _figure()
    rows = figure.subplots(4, 1, sharex=True, height_ratios=(2, 3, 3, 2))
    strength, errors, looks, residual = rows
    _draw_strength(strength, report)
    _draw_errors(errors, report)
    _draw_looks(looks, report)
    _draw_residual(residual, report)
    residual.set_xlabel("frame")
    for axes in rows:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    _save(figure, Path(path), overwrite)


def _draw_strength(axes: Axes, report: Report) -> None:
    indices = [frame.index for frame in report.frames]
    values = _gaps(frame.strength for frame in report.frames)
    axes.plot(indices, values, color=_COLOURS[0], label="over the source")
    sampled = [(f.index, f.scratch.strength) for f in report.frames if f.scratch is not None]
    if sampled:
        axes.plot(
            [index for index, _ in sampled],
            _gaps(value for _, value in sampled),
            "o",
            markersize=4,
            color=_COLOURS[1],
            label="over a dream from scratch",
        )
    axes.axhline(1, color=_GREY, linewidth=0.8)
    axes.set_ylim(bottom=min(0, *axes.get_ylim()))
    axes.set_ylabel("strength")


def _draw_errors(axes: Axes, report: Report) -> None:
    seen = False
    for colour, summed in zip(
        _cycle(len(report.summary.errors)), report.summary.errors, strict=True
    ):
        found = [(f.index, e) for f in report.frames for e in f.errors if e.lag == summed.lag]
        indices = [index for index, _ in found]
        # A logarithmic axis has no place for 0, which is what a still source gives.
        dream = _gaps(error.dream if error.dream > NOTHING else None for _, error in found)
        source = _gaps(error.source if error.source > NOTHING else None for _, error in found)
        frames = "frame" if summed.lag == 1 else "frames"
        label = f"dream, {summed.lag} {frames} apart"
        axes.plot(indices, dream, color=colour, marker=_dot(dream), label=label)
        axes.plot(
            indices,
            source,
            "--",
            color=colour,
            linewidth=1,
            marker=_dot(source),
            label="its source",
        )
        true = _true_errors(report, summed.lag)
        if true:
            label = f"dream, {summed.lag} {frames} apart, true motion"
            axes.plot(*zip(*true, strict=True), ":", color=colour, marker=".", label=label)
        seen = seen or bool(true) or any(map(math.isfinite, (*dream, *source)))
    if seen:
        axes.set_yscale("log")
    axes.set_ylabel("warping error")


def _true_errors(report: Report, lag: int) -> list[tuple[int, float]]:
    """Return the number of a frame and its error over all pixels, where there is one to draw."""
    return [
        (frame.index, error.dream)
        for frame in report.frames
        for error in frame.true_errors
        if error.lag == lag and error.region == "all" and error.dream > NOTHING
    ]


def _draw_residual(axes: Axes, report: Report) -> None:
    found = [(f.index, f.residual) for f in report.frames if f.residual is not None]
    named = {"chroma": "chroma over luma", "fine": "share above 1/8 cycle a pixel", "rms": "RMS"}
    for colour, (name, label) in zip(_COLOURS, named.items(), strict=False):
        values = _gaps(getattr(residual, name) for _, residual in found)
        axes.plot([index for index, _ in found], values, color=colour, label=label)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("residual")


def _draw_looks(axes: Axes, report: Report) -> None:
    indices = [frame.index for frame in report.frames]
    for colour, name in zip(_COLOURS, ("brightness", "contrast", "saturation"), strict=False):
        dream = [getattr(frame.dream, name) for frame in report.frames]
        source = [getattr(frame.source, name) for frame in report.frames]
        axes.plot(indices, dream, color=colour, label=f"{name}, dream")
        axes.plot(indices, source, "--", color=colour, linewidth=1, label="its source")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("0 to 1")


def _gaps(values: Iterable[float | None]) -> list[float]:
    """Put NaN, which leaves a gap in a line, where there is no value."""
    return [math.nan if value is None else value for value in values]


def _dot(values: Sequence[float]) -> str:
    """Name the marker: a lone point is no line, and would not be seen."""
    return "." if sum(map(math.isfinite, values)) < 2 else ""


def _cycle(count: int) -> list[str]:
    return [_COLOURS[k % len(_COLOURS)] for k in range(count)]


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
    draft = Draft(path, overwrite=overwrite)
    try:
        figure.savefig(draft.path, format="png")
    except OSError as error:
        draft.discard()
        raise cannot_write(path, error) from error
    except BaseException:
        draft.discard()
        raise
    draft.publish()
