"""A measurement as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidream.measure.report import (
        Range,
        RecognitionSummary,
        ResidualSummary,
        ScratchSummary,
        Summary,
        TrueSummary,
    )

Row = tuple[str, Sequence[str]]

_NAME, _CELL = 24, 11  # columns of text


def lines(summary: Summary, group: str = "") -> Iterator[str]:
    """Give the lines of the table, at most 88 columns wide.

    Args:
        summary: of a clip.
        group: the classes that it was searched for, as they were asked for.
    """
    yield f"{summary.frames} frames"
    yield from _section(
        "Warping error: what motion does not explain; mean square, RGB from 0 to 1",
        ("dream", "source", "ratio", "frames"),
        [
            (
                _apart(error.lag),
                (_small(error.dream), _small(error.source), _ratio(error.ratio), str(error.frames)),
            )
            for error in summary.errors
        ],
    )
    if summary.true_errors:
        yield from _true_motion(summary.true_errors)
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
    yield from _residual(summary.residual)
    if summary.recognition is not None:
        yield from _recognition(summary.recognition, group)
    drift = summary.drift
    yield from _section(
        f"Drift: change in 100 frames, from frame {drift.since} on; 0 % = it holds",
        ("dream", "source"),
        [
            ("strength", (_percent(drift.strength), "")),
            ("brightness", (_percent(drift.dream.brightness), _percent(drift.source.brightness))),
            ("contrast", (_percent(drift.dream.contrast), _percent(drift.source.contrast))),
            ("saturation", (_percent(drift.dream.saturation), _percent(drift.source.saturation))),
        ],
    )


def _true_motion(errors: Iterable[TrueSummary]) -> Iterator[str]:
    return _section(
        "Warping error by true motion, in regions of the clip; likewise",
        ("dream", "source", "ratio", "of pixels"),
        [
            (
                f"{_apart(error.lag)}, {error.region}",
                (
                    *(_small(error.dream), _small(error.source), _ratio(error.ratio)),
                    _share(error.share),
                ),
            )
            for error in errors
        ],
    )


def _residual(residual: ResidualSummary) -> Iterator[str]:
    return _section(
        "What the dream adds: its colour over its brightness (energy), how fine, how much",
        ("mean", "least", "most"),
        [
            ("chroma over luma", _spread(residual.chroma, _ratio)),
            ("above 1/8 cycle a pixel", _spread(residual.fine, _share)),
            ("RMS, RGB from 0 to 1", _spread(residual.rms, _small)),
        ],
    )


def _recognition(recognition: RecognitionSummary, group: str) -> Iterator[str]:
    count = recognition.frames
    return _section(
        f"Recognisability: mean probability, in crops of {count} frame{'s' * (count > 1)}",
        ("dream", "source"),
        [(_shortened(group), (_ratio(recognition.dream), _ratio(recognition.source)))],
    )


def _evenness(scratch: ScratchSummary) -> Iterator[str]:
    return _section(
        f"Evenness: depth over that of {scratch.frames} "
        f"frame{'s' * (scratch.frames > 1)} dreamed from scratch; 1 = as deep",
        ("", "cells"),
        [
            ("in new regions", (_ratio(scratch.evenness), str(scratch.new_cells))),
            ("in the weakest tenth", (_ratio(scratch.low),)),
        ],
    )


def _section(title: str, heads: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Give a blank line, the title, the heads of the columns and the rows."""
    yield ""
    yield title
    for name, cells in (("", heads), *rows):
        yield f"  {name:<{_NAME}}{''.join(f'{cell:>{_CELL}}' for cell in cells)}".rstrip()


def _apart(lag: int) -> str:
    return f"{lag} frame{'s' * (lag > 1)} apart"


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


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
