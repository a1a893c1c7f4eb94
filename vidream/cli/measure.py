"""``vidream measure SOURCE DREAM``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidream.cli.command_line import usual_preset
from vidream.cli.options import (
    LOGGING,
    Command,
    Option,
    given_values,
    in_words,
    option_for,
    preset_option,
)
from vidream.cli.table import lines
from vidream.cli.terminal import ProgressBar, end_stopped, fail, messages
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.presets import DEFAULT, preset_settings
from vidream.core.settings import Settings
from vidream.media.checks import check_source
from vidream.media.places import parse_source

if TYPE_CHECKING:
    from vidream.core.frames import Picture
    from vidream.dream.dreamer import Dreamer
    from vidream.measure import ClipPair, Recogniser, Report
    from vidream.render.guides import GuideVideo

_MADE = "What the dream was made with"
_OBJECTIVE = (
    *("network", "layers", "objective", "classes", "guide", "guide_by", "weights"),
    *("styles", "style_weight", "style_layers", "style_match", "style_size", "device"),
)
_CUT = ("start", "end", "duration", "frames", "fps")
_SCRATCH = (
    *("content_weight", "content_layers", "total_variation", "until", "anneal"),
    *("octaves", "octave_scale", "steps", "step_size", "jitter"),
    *("jitter_rotation", "jitter_scale", "jitter_noise", "grey", "padding"),
    *("color", "detail", "smoothing", "normalize", "seed"),
)


@dataclass(frozen=True, slots=True)
class _Request:
    """The options that are no settings."""

    as_json: bool
    plot: str | None
    overwrite: bool
    scratch_every: int
    true_motion: str | None
    classify: str | None
    classify_every: int
    quiet: bool
    verbose: bool


_option = partial(Option, group="Measure")
_every = partial(_option, default=0, metavar="N", type=click.IntRange(min=0))

_PARAMS: list[click.Parameter] = [
    click.Argument(["source"], metavar="SOURCE"),
    click.Argument(["dream"], metavar="DREAM"),
    _option(["--json", "as_json"], is_flag=True, help="Print JSON, with every frame's figures."),
    _option(["--plot"], metavar="FILE.png", help="Plot the figures over time."),
    _option(["--overwrite"], is_flag=True, help="Replace an existing plot."),
    _every(
        ["--scratch-every"],
        help="Dream every Nth frame from scratch too, for evenness. [default: 0, none]",
    ),
    _option(
        ["--true-motion"],
        metavar="FILE.json",
        help="True motion of the clip: adds the warping error by it, by region.",
    ),
    _option(
        ["--classify"],
        metavar="GROUP",
        help="Recognisability by an independent classifier: animals, birds, dogs, cats, insects, "
        "fish, reptiles, flowers, buildings, … or classes and ranges of their numbers, separated "
        "by commas. Needs vidream[classes].",
    ),
    _every(["--classify-every"], help="Classify every Nth frame. [default: 0, at most 12 in all]"),
    *LOGGING,
    preset_option(_MADE, f"What was dreamed. [default: {DEFAULT}]"),
    *(option_for(name, _MADE) for name in _OBJECTIVE),
    *(option_for(name, "What of the source it was made of") for name in _CUT),
    *(option_for(name, "Of dreams from scratch") for name in _SCRATCH),
]


@click.command(cls=Command, usage="measure SOURCE DREAM [OPTIONS]", params=_PARAMS)
def measure(source: str, dream: str, preset: str | None, **options: Any) -> None:
    """Measure a DREAM against its SOURCE: does it hold still, is it deep, does it drift.

    The source is scaled to the dream's size, and paired with it frame by frame. A low warping error
    is worth nothing at low strength: compare dreams of like strength. Give the options that the
    dream was made with, so that strength is that of what was dreamed.
    """
    request = _Request(**{field.name: options.pop(field.name) for field in fields(_Request)})
    given = given_values(options)
    if request.true_motion is not None and not given.keys().isdisjoint(("start", "fps")):
        raise click.UsageError("--true-motion is that of all frames: leave --start and --fps out")
    try:
        settings = preset_settings(preset or usual_preset(source, dream, given) or DEFAULT, **given)
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    try:
        for clip in (source, dream):
            check_source(parse_source(clip))
        report = _measure(source, dream, settings, request)
    except VidreamError as error:
        fail(error)
    except KeyboardInterrupt as stop:
        end_stopped("stopped; a measurement is of the whole clip", stop)
    if request.as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False))
    else:
        click.echo("\n".join(lines(report.summary, request.classify or "")))


def _measure(source: str, dream: str, settings: Settings, request: _Request) -> Report:
    # PyTorch takes its time, and matplotlib need not be there.
    from vidream.dream.dreamer import Dreamer  # noqa: PLC0415
    from vidream.measure import ClipPair, TrueMotion, measure_clip  # noqa: PLC0415
    from vidream.measure.plot import check_plot, plot  # noqa: PLC0415
    from vidream.render.guides import open_guide  # noqa: PLC0415

    if request.plot is not None:  # before the work, not after it
        check_plot(request.plot, source, dream, overwrite=request.overwrite)
    truth = None if request.true_motion is None else TrueMotion.load(request.true_motion)
    with (
        messages(quiet=request.quiet, verbose=request.verbose),
        ProgressBar(hidden=request.quiet) as progress,
        ClipPair(source, dream, settings.read) as pairs,
        ExitStack() as stack,
    ):
        dreamed, guide = open_guide(settings.dream)
        guided = None if guide is None else _follow(stack.enter_context(guide), pairs)
        dreamer = Dreamer(dreamed, style=settings.style, on_download=progress.download)
        report = measure_clip(
            pairs,
            dreamer,
            scratch_every=request.scratch_every,
            guided=guided,
            true_motion=truth,
            recogniser=_recogniser(request, dreamer, pairs.expected, progress),
            progress=lambda frame: progress.count(frame.index + 1, pairs.expected),
        )
    if request.plot is not None:
        plot(report, Path(request.plot), overwrite=request.overwrite)
    return report


def _follow(guide: GuideVideo, pairs: ClipPair) -> Callable[[Dreamer], Dreamer]:
    """Return a function that guides a dreamer by the guide's picture at the time of the pair."""
    last: tuple[Picture, Dreamer] | None = None

    def guided(dreamer: Dreamer) -> Dreamer:
        nonlocal last
        picture = guide.at(pairs.time)
        if last is None or last[0] is not picture:
            last = picture, dreamer.at(guide=picture)
        return last[1]

    return guided


def _recogniser(
    request: _Request, dreamer: Dreamer, expected: int | None, progress: ProgressBar
) -> Recogniser | None:
    """Return the independent classifier, if it is asked for."""
    from vidream.measure import Recogniser, sampling  # noqa: PLC0415

    if request.classify is None:
        return None
    every = request.classify_every or sampling(expected)
    download = progress.download
    return Recogniser(request.classify, every=every, device=dreamer.device, on_download=download)
