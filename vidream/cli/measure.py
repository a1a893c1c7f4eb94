"""``vidream measure SOURCE DREAM``: does the dream hold still, is it deep, does it drift."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidream.cli.options import Command, Grouped, GroupedCommand, option_for, unset, with_options
from vidream.cli.table import lines
from vidream.cli.terminal import Progress, fail, messages, status
from vidream.errors import SettingsError, VidreamError
from vidream.presets import CLASS, DEFAULT, PRESETS, preset_settings
from vidream.settings import DreamSettings, ReadSettings, Settings, StyleSettings

if TYPE_CHECKING:
    import torch

    from vidream.measure import Recogniser, Report

_MADE = "What the dream was made with"
_CUT = ("start", "end", "duration", "frames", "fps")
_OBJECTIVE = (
    *("network", "layers", "objective", "classes", "guide", "guide_by"),
    *("weights", "device"),
)
_STYLE = ("styles", "style_weight", "style_layers", "style_match", "style_size")
_SCRATCH = (
    *("content_weight", "content_layers", "total_variation", "until", "anneal"),
    *("octaves", "octave_scale", "steps", "step_size", "jitter"),
    *("jitter_rotation", "jitter_scale", "jitter_noise", "grey", "padding"),
    *("color", "detail", "smoothing", "normalize", "seed"),
)


def _some(heading: str, part: type, names: Iterable[str]) -> Callable[[Command], Command]:
    """Add the options of some settings, in the order of ``names``."""
    settings = {setting.name: setting for setting in fields(part)}
    return with_options([option_for(settings[name], heading) for name in names])


@click.command(cls=GroupedCommand, usage="measure SOURCE DREAM [OPTIONS]", no_args_is_help=True)
@click.argument("source", metavar="SOURCE")
@click.argument("dream", metavar="DREAM")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every frame's figures.")
@click.option("--plot", "picture", metavar="FILE.png", help="Draw the figures over time.")
@click.option("--overwrite", is_flag=True, help="Replace the plot if it is there.")
@click.option(
    "--scratch-every", default=0, metavar="N", type=int,
    help="Also dream every Nth frame from scratch, for evenness; takes as long as dreaming them. "
    "[default: 0, none]",
)  # fmt: skip
@click.option(
    "--true-motion",
    "truth",
    metavar="FILE.json",
    help="True motion of the clip, where it is known: adds the warping error by it, also of "
    "untextured regions and of what moves in front.",
)
@click.option(
    "--classes",
    "group",
    metavar="GROUP",
    help="Recognisability: what an independent classifier looks for in the result, whatever was "
    "dreamed (--class): animals, birds, dogs, cats, insects, fish, reptiles, flowers, buildings, … "
    "or classes and ranges of their numbers, separated by commas. Needs vidream[classes].",
)
@click.option(
    "--classes-every",
    default=0,
    metavar="N",
    type=int,
    help="The classifier looks at every Nth frame. [default: 0, at most 12 frames in all]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the result and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is going on.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    metavar="NAME",
    cls=Grouped,
    heading=_MADE,
    help="What was dreamed: see vidream --list-presets. "
    f"With a class: {CLASS}, unless given. [default: {DEFAULT}]",
)
@_some(_MADE, DreamSettings, _OBJECTIVE)
@_some(_MADE, StyleSettings, _STYLE)
@_some("What of the source it was made of", ReadSettings, _CUT)
@_some("For dreams from scratch, as it was made", DreamSettings, _SCRATCH)
def measure(
    *,
    source: str,
    dream: str,
    as_json: bool,
    picture: str | None,
    overwrite: bool,
    scratch_every: int,
    truth: str | None,
    group: str | None,
    classes_every: int,
    quiet: bool,
    verbose: bool,
    preset: str | None,
    **options: Any,
) -> None:
    """Measure a DREAM against its SOURCE: does it hold still, is it deep, does it drift.

    The source is scaled to the dream's size and paired with it frame by frame. A low warping error
    is worth nothing at low strength: compare dreams of like strength. Say how the dream was made,
    so that strength is that of what was dreamed: of a style alone, one over the style loss.

    A clip that is itself named measure is dreamed as ./measure.
    """
    from vidream.films import usual_preset  # noqa: PLC0415  (torch is slow to import)

    for name, every in (("scratch-every", scratch_every), ("classes-every", classes_every)):
        if every < 0:
            raise click.UsageError(f"--{name} is a number of frames, or 0")
    given = {name: value for name, value in options.items() if not unset(value)}
    if truth is not None and not given.keys().isdisjoint(("start", "fps")):
        raise click.UsageError("--true-motion is that of all frames: leave --start and --fps out")
    try:
        settings = preset_settings(preset or usual_preset(source, dream, **given), **given)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    wanted = _Wanted(scratch_every, truth, group, classes_every, picture, overwrite)
    with messages(quiet, verbose), Progress(hidden=quiet) as progress:
        try:
            report = _measure(source, dream, settings, progress, wanted)
        except VidreamError as error:
            progress.close()
            fail(error)
        except KeyboardInterrupt as stop:
            progress.close()
            click.echo("vidream: stopped; a measurement is of the whole clip", err=True)
            sys.exit(status(stop))
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False))
    else:
        click.echo("\n".join(lines(report.summary, group or "")))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is measured beside what always is; as the options say it."""

    scratch_every: int
    truth: str | None
    group: str | None
    classes_every: int
    picture: str | None
    overwrite: bool


def _measure(
    source: str, dream: str, settings: Settings, progress: Progress, wanted: _Wanted
) -> Report:
    # torch is slow to import, and matplotlib need not be there.
    from vidream.dreamer import Dreamer  # noqa: PLC0415
    from vidream.guides import open_guide  # noqa: PLC0415
    from vidream.measure import ClipPair, TrueMotion, measure_clip  # noqa: PLC0415
    from vidream.measure.plot import check_plot, plot  # noqa: PLC0415

    if wanted.picture is not None:  # before the work, not after it
        check_plot(wanted.picture, source, dream, overwrite=wanted.overwrite)
    with ExitStack() as stack:
        truth = None if wanted.truth is None else TrueMotion.load(wanted.truth)
        guide, dreamed = open_guide(settings.dream, stack)
        pairs = stack.enter_context(ClipPair(source, dream, settings.read))
        dreamer = Dreamer(dreamed, style=settings.style, on_download=progress.download)
        report = measure_clip(
            pairs,
            dreamer,
            scratch_every=wanted.scratch_every,
            guided=None if guide is None else lambda dreamer: guide.leads(dreamer, pairs.time),
            true_motion=truth,
            recogniser=_recogniser(wanted, dreamer.device, pairs.expected, progress),
            expected=pairs.expected,
            progress=lambda _, expected: progress.count(expected),
        )
    progress.close()
    if wanted.picture is not None:
        plot(report, Path(wanted.picture), overwrite=wanted.overwrite)
    return report


def _recogniser(
    wanted: _Wanted, device: torch.device, expected: int | None, progress: Progress
) -> Recogniser | None:
    """Load the independent classifier, if it is asked for."""
    from vidream.measure import Recogniser, sampling  # noqa: PLC0415

    if wanted.group is None:
        return None
    return Recogniser(
        wanted.group,
        every=wanted.classes_every or sampling(expected),
        device=device,
        on_download=progress.download,
    )
