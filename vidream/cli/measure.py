"""``vidream measure SOURCE DREAM``: does the dream hold still, is it deep, does it drift."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidream.cli.options import Command, Grouped, GroupedCommand, option_for, unset, with_options
from vidream.cli.table import lines
from vidream.cli.terminal import Progress, fail, messages, status
from vidream.errors import SettingsError, VidreamError
from vidream.presets import DEFAULT, PRESETS, preset_settings
from vidream.settings import DreamSettings, ReadSettings, Settings

if TYPE_CHECKING:
    from vidream.measure import Report

_CUT = ("start", "end", "duration", "frames", "fps")
_OBJECTIVE = ("network", "layers", "weights", "device")
_SCRATCH = (
    *("octaves", "octave_scale", "steps", "step_size", "jitter"),
    *("jitter_rotation", "jitter_scale", "jitter_noise", "grey", "padding"),
    *("smoothing", "normalize", "seed"),
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
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the result and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is going on.")
@click.option(
    "--preset", default=DEFAULT, show_default=True, type=click.Choice(list(PRESETS)),
    metavar="NAME", help="What was dreamed: see vidream --list-presets.",
    cls=Grouped, heading="What the dream was made with",
)  # fmt: skip
@_some("What the dream was made with", DreamSettings, _OBJECTIVE)
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
    quiet: bool,
    verbose: bool,
    preset: str,
    **options: Any,
) -> None:
    """Measure a DREAM against its SOURCE: does it hold still, is it deep, does it drift.

    The source is scaled to the dream's size and paired with it frame by frame. A low warping error
    is worth nothing at low strength: compare dreams of like strength. Say how the dream was made,
    so that strength is that of what was dreamed.

    A clip that is itself named measure is dreamed as ./measure.
    """
    if scratch_every < 0:
        raise click.UsageError("--scratch-every is a number of frames, or 0")
    given = {name: value for name, value in options.items() if not unset(value)}
    try:
        settings = preset_settings(preset, **given)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    with messages(quiet, verbose), Progress(hidden=quiet) as progress:
        try:
            report = _measure(
                source,
                dream,
                settings,
                progress,
                scratch_every=scratch_every,
                picture=picture,
                overwrite=overwrite,
            )
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
        click.echo("\n".join(lines(report.summary)))


def _measure(
    source: str,
    dream: str,
    settings: Settings,
    progress: Progress,
    *,
    scratch_every: int,
    picture: str | None,
    overwrite: bool,
) -> Report:
    # torch is slow to import, and matplotlib need not be there.
    from vidream.dreamer import Dreamer  # noqa: PLC0415
    from vidream.measure import ClipPair, measure_clip  # noqa: PLC0415
    from vidream.measure.plot import check_plot, plot  # noqa: PLC0415

    if picture is not None:  # before the work, not after it
        check_plot(picture, source, dream, overwrite=overwrite)
    with ClipPair(source, dream, settings.read) as pairs:
        report = measure_clip(
            pairs,
            Dreamer(settings.dream, on_download=progress.download),
            scratch_every=scratch_every,
            expected=pairs.expected,
            progress=lambda _, expected: progress.count(expected),
        )
    progress.close()
    if picture is not None:
        plot(report, Path(picture), overwrite=overwrite)
    return report
