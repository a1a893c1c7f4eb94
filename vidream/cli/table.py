"""A measurement as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidream.measure.report import (
        Drift,
        LagSummary,
        Range,
        ScratchSummary,
        Summary,
        TrueSummary,
    )

Row = tuple[str, Sequence[str]]

_NAME, _CELL = 24, 11  # columns of text


def lines(summary: Summary, group: str = "") -> Iterator[str]:
    """Yield the lines of the table, at most 88 columns wide; ``group`` names the classes."""
    yield f"{summary.frames} frames"
    yield from _section(
        "Warping error: what motion does not explain; mean square, RGB from 0 to 1",
        ("dream", "source", "ratio", "frames"),
        [(_apart(error.lag), (*_errors(error), str(error.frames))) for error in summary.errors],
    )
    if summary.true_errors:
        yield from _section(
            "Warping error by true motion, in regions of the clip; likewise",
            ("dream", "source", "ratio", "of pixels"),
            [
                (f"{_apart(error.lag)}, {error.region}", (*_errors(error), _share(error.share)))
                for error in summary.true_errors
            ],
        )
    spreads = [("over the source", summary.strength)]
    if summary.scratch is not None:
        spreads.append(("over dreams from scratch", summary.scratch.strength))
    yield from _section(
        "Strength: how much more the network sees; 1 = as much",
        ("mean", "least", "most"),
        [(name, _spread(spread, _ratio)) for name, spread in spreads],
    )
    if summary.scratch is not None:
        yield from _evenness(summary.scratch)
    residual = summary.residual
    yield from _section(
        "What the dream adds: its colour over its brightness (energy), how fine, how much",
        ("mean", "least", "most"),
        [
            ("chroma over luma", _spread(residual.chroma, _ratio)),
            ("above 1/8 cycle a pixel", _spread(residual.fine, _share)),
            ("RMS, RGB from 0 to 1", _spread(residual.rms, _small)),
        ],
    )
    if summary.recognition is not None:
        found, name = summary.recognition, group
        if len(name) > _NAME:
            name = f"{name[: _NAME - 1]}…"
        yield from _section(
            f"Recognisability: mean probability, in crops of {_frames(found.frames)}",
            ("dream", "source"),
            [(name, (_ratio(found.dream), _ratio(found.source)))],
        )
    yield from _drift(summary.drift)


def _evenness(scratch: ScratchSummary) -> Iterator[str]:
    return _section(
        f"Evenness: depth over that of {_frames(scratch.frames)} dreamed from scratch; 1 = as deep",
        ("", "cells"),
        [
            ("in new regions", (_ratio(scratch.evenness), str(scratch.new_cells))),
            ("in the weakest tenth", (_ratio(scratch.low),)),
        ],
    )


def _drift(drift: Drift) -> Iterator[str]:
    dream, source = drift.dream, drift.source
    return _section(
        f"Drift: change in 100 frames, from frame {drift.since} on; 0 % = it holds",
        ("dream", "source"),
        [
            ("strength", (_percent(drift.strength), "")),
            ("brightness", (_percent(dream.brightness), _percent(source.brightness))),
            ("contrast", (_percent(dream.contrast), _percent(source.contrast))),
            ("saturation", (_percent(dream.saturation), _percent(source.saturation))),
        ],
    )


def _section(title: str, heads: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Yield a blank line, the title, the heads of the columns and the rows."""
    yield ""
    yield title
    for name, cells in (("", heads), *rows):
        yield f"  {name:<{_NAME}}{''.join(f'{cell:>{_CELL}}' for cell in cells)}".rstrip()


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count > 1)}"


def _apart(lag: int) -> str:
    return f"{_frames(lag)} apart"


def _errors(error: LagSummary | TrueSummary) -> tuple[str, str, str]:
    return _small(error.dream), _small(error.source), _ratio(error.ratio)


def _spread(spread: Range, write: Callable[[float | None], str]) -> tuple[str, str, str]:
    return write(spread.mean), write(spread.minimum), write(spread.maximum)


def _small(value: float | None) -> str:
    from vidream.measure import NOTHING  # noqa: PLC0415  (torch is slow to import)

    if value is None:
        return "–"
    return f"{value:.3g}" if value > NOTHING else "0"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _percent(value: float | None) -> str:
    # Rounded first: a hair below nothing is written 0.0 %, not -0.0 %.
    return "–" if value is None else f"{round(100 * value, 1) + 0.0:+.1f} %".replace("+0.0", "0.0")
