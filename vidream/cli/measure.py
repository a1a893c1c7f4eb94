"""``vidream measure SOURCE DREAM``: does the dream hold still, is it deep, does it drift."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidream.cli.command_line import usual_preset
from vidream.cli.options import QUIET, VERBOSE, Command, Option, given_values, in_words, option_for
from vidream.cli.table import lines
from vidream.cli.terminal import ProgressBar, fail, messages, say
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.presets import DEFAULT, PRESETS, preset_settings
from vidream.core.settings import Settings
from vidream.media.places import check_source, parse_source

if TYPE_CHECKING:
    from vidream.dream.dreamer import Dreamer
    from vidream.measure import ClipPair, Recogniser, Report

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
    """What is measured beside what always is, and how it is shown; as the options have it."""

    as_json: bool
    plot: str | None
    overwrite: bool
    scratch_every: int
    true_motion: str | None
    classify: str | None
    classify_every: int
    quiet: bool
    verbose: bool


_PARAMS: list[click.Parameter] = [
    click.Argument(["source"], metavar="SOURCE"),
    click.Argument(["dream"], metavar="DREAM"),
    Option(
        ["--json", "as_json"],
        group="Measure",
        is_flag=True,
        help="Print JSON, with every frame's figures.",
    ),
    Option(["--plot"], group="Measure", metavar="FILE.png", help="Plot the figures over time."),
    Option(["--overwrite"], group="Measure", is_flag=True, help="Replace an existing plot."),
    Option(
        ["--scratch-every"],
        group="Measure",
        default=0,
        metavar="N",
        type=click.IntRange(min=0),
        help="Dream every Nth frame from scratch too, for evenness. [default: 0, none]",
    ),
    Option(
        ["--true-motion"],
        group="Measure",
        metavar="FILE.json",
        help="True motion of the clip: adds the warping error by it, by region.",
    ),
    Option(
        ["--classify"],
        group="Measure",
        metavar="GROUP",
        help="Recognisability by an independent classifier: animals, birds, dogs, cats, insects, "
        "fish, reptiles, flowers, buildings, … or classes and ranges of their numbers, separated "
        "by commas. Needs vidream[classes].",
    ),
    Option(
        ["--classify-every"],
        group="Measure",
        default=0,
        metavar="N",
        type=click.IntRange(min=0),
        help="Classify every Nth frame. [default: 0, at most 12 in all]",
    ),
    QUIET,
    VERBOSE,
    Option(
        ["--preset"],
        metavar="NAME",
        group=_MADE,
        type=click.Choice(list(PRESETS)),
        help=f"What was dreamed. [default: {DEFAULT}]",
    ),
    *(option_for(name, _MADE) for name in _OBJECTIVE),
    *(option_for(name, "What of the source it was made of") for name in _CUT),
    *(option_for(name, "Of dreams from scratch") for name in _SCRATCH),
]


@click.command(
    cls=Command, usage="measure SOURCE DREAM [OPTIONS]", no_args_is_help=True, params=_PARAMS
)
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
    except KeyboardInterrupt:
        say("stopped; a measurement is of the whole clip")
        sys.exit(128 + signal.SIGINT)
    if request.as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False))
    else:
        click.echo("\n".join(lines(report.summary, request.classify or "")))


def _measure(source: str, dream: str, settings: Settings, request: _Request) -> Report:
    # PyTorch takes its time, and matplotlib need not be there.
    from vidream.measure import ClipPair, TrueMotion  # noqa: PLC0415
    from vidream.measure.plot import check_plot, plot  # noqa: PLC0415

    if request.plot is not None:  # before the work, not after it
        check_plot(request.plot, source, dream, overwrite=request.overwrite)
    truth = None if request.true_motion is None else TrueMotion.load(request.true_motion)
    with (
        messages(quiet=request.quiet, verbose=request.verbose),
        ProgressBar(hidden=request.quiet) as progress,
        ClipPair(source, dream, settings.read) as pairs,
    ):
        report = _report(pairs, settings, request, truth, progress)
    if request.plot is not None:
        plot(report, Path(request.plot), overwrite=request.overwrite)
    return report


def _report(
    pairs: ClipPair, settings: Settings, request: _Request, truth: Any, progress: ProgressBar
) -> Report:
    from vidream.dream.dreamer import Dreamer  # noqa: PLC0415  (as above)
    from vidream.measure import measure_clip  # noqa: PLC0415
    from vidream.render.guides import open_guide  # noqa: PLC0415

    with ExitStack() as stack:
        dream, guide = open_guide(settings.dream)
        guided = None if guide is None else _follow(stack.enter_context(guide), pairs)
        dreamer = Dreamer(dream, style=settings.style, on_download=progress.download)
        return measure_clip(
            pairs,
            dreamer,
            scratch_every=request.scratch_every,
            guided=guided,
            true_motion=truth,
            recogniser=_recogniser(request, dreamer, pairs.expected, progress),
            progress=lambda frame: progress.count(frame.index + 1, pairs.expected),
        )


def _follow(guide: Any, pairs: ClipPair) -> Callable[[Dreamer], Dreamer]:
    """Return what guides a dreamer by what a video shows at the time of the last pair."""
    last: tuple[Any, Dreamer] | None = None

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
    """Load the independent classifier, if it is asked for."""
    from vidream.measure import Recogniser, sampling  # noqa: PLC0415

    if request.classify is None:
        return None
    return Recogniser(
        request.classify,
        every=request.classify_every or sampling(expected),
        device=dreamer.device,
        on_download=progress.download,
    )
