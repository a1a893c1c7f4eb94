"""``vidream live``: a camera, or a file in real time, dreamed into a window or a stream."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import click

from vidream.cli.config import given_preset
from vidream.cli.options import (
    LOGGING,
    LOOK,
    Command,
    Option,
    in_words,
    option_for,
    options_of,
    preset_option,
)
from vidream.cli.terminal import (
    ProgressBar,
    Signals,
    end_stopped,
    fail,
    handled_signals,
    messages,
    say,
)
from vidream.core.allocator import keep_freed_memory
from vidream.core.errors import OutputError, SettingsError, VidreamError
from vidream.core.presets import DEFAULT, preset_settings
from vidream.core.settings import LIVE_RATE, LIVE_RATES, Settings
from vidream.media.checks import check_source, check_target
from vidream.media.places import (
    PipeTarget,
    Source,
    Target,
    VideoTarget,
    parse_source,
    parse_target,
)

_SIDE = 640  # longer side of the frames, unless a size is given


@click.command(
    cls=Command,
    usage="live [SOURCE] [-o TARGET] [OPTIONS]",
    params=[
        click.Argument(["source"], metavar="SOURCE", default="camera:0"),
        Option(
            ["--rate"], type=click.FloatRange(*LIVE_RATES), default=LIVE_RATE, metavar="RATE",
            group="Live", help=f"Frames per second to keep up with. [default: {LIVE_RATE:g}]",
        ),
        preset_option("Dream", f"What one sees, as in eyes. [default: {DEFAULT}]"),
        *(option for group in LOOK for option in options_of(group, but=("weak_steps",))),
        *(option_for(name, "Input") for name in ("width", "height", "max_side")),
        Option(
            ["-o", "--output"], metavar="TARGET", group="Output",
            help="Video to write, or - for a pipe, instead of a window.",
        ),
        *options_of("Output", but=("resume", "keep_work")),
        *options_of("Device"),
        Option(["--config"], metavar="FILE.toml", help="Read settings from a file."),
        *LOGGING,
    ],
)  # fmt: skip
def live(source: str, rate: float, output: str | None, **options: Any) -> None:
    """Dream a camera, or a clip in real time, at a rate that is kept.

    SOURCE is a camera (camera:0, /dev/video0), by default the first, or a video. The dream is made
    at the size for which there is time, shown at most 640 pixels wide unless a size is given, and
    deepens while the picture stands still. In the window, F is full screen, Q ends; without one:
    vidream live -o - | ffplay -
    """
    quiet, verbose = options.pop("quiet"), options.pop("verbose")
    config, preset = options.pop("config"), options.pop("preset")
    try:
        preset, values = given_preset(preset, config, options)
        if not any(name in values for name in ("width", "height", "max_side")):
            values["max_side"] = _SIDE
        # The dream has the processor: nothing is decoded that is not shown, nor encoded slowly.
        values = {"fps": rate, "codec_speed": "fast", **values}
        settings = preset_settings(preset or DEFAULT, **values)
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    try:
        read = parse_source(source)
        check_source(read)
        target = None if output is None else _target(output, read, settings)
        with (
            handled_signals() as signals,
            messages(quiet=quiet, verbose=verbose),
            ProgressBar(hidden=quiet) as progress,
        ):
            text = _run(read, target, settings, rate, signals, progress)
    except VidreamError as error:
        fail(error)
    except KeyboardInterrupt as stop:
        end_stopped("stopped", stop)
    if not quiet:
        say(text)


def _target(output: str, source: Source, settings: Settings) -> VideoTarget | PipeTarget:
    target: Target = parse_target(output, settings.write)
    check_target(target, source, settings.write)
    if not isinstance(target, (VideoTarget, PipeTarget)):
        raise OutputError(f"{target.name}: live frames go into a video, or a pipe")
    return target


def _run(
    source: Source,
    target: VideoTarget | PipeTarget | None,
    settings: Settings,
    rate: float,
    signals: Signals,
    progress: ProgressBar,
) -> str:
    """Dream until the source, the window or a signal ends it; return how it went."""
    keep_freed_memory()
    from vidream.render.live_source import LiveSource  # noqa: PLC0415  (it imports PyTorch)

    cancel = signals.new_run(waits=True)
    count, size, first, last = 0, (0, 0), 0.0, 0.0
    with ExitStack() as stack:
        frames = stack.enter_context(
            LiveSource(source, settings, rate, reporter=progress, cancel=cancel)
        )
        show, finish = _outlet(target, frames, settings, stack)
        for came, frame in frames:
            signals.frames_began()
            if not show(came, frame.picture) or cancel.cancelled:
                break
            count, size, last = count + 1, frame.size, time.monotonic()
            first = first or last
        finish()
        dropped = frames.dropped
    speed = (count - 1) / (last - first) if last > first else 0.0
    return (
        f"{count} frames, {speed:.1f} a second, dreamed at {size[1]}×{size[0]}; {dropped} dropped"
    )


def _outlet(
    target: VideoTarget | PipeTarget | None, frames: Any, settings: Settings, stack: ExitStack
) -> tuple[Callable[[float, Any], bool], Callable[[], None]]:
    """Return what shows a frame, False when no more is wanted, and what ends the showing."""
    info = frames.info
    if target is None:
        from vidream.cli.window import Window  # noqa: PLC0415  (it needs a display)

        window = stack.enter_context(Window("vidream live", (info.width, info.height)))

        def show(_: float, picture: Any) -> bool:
            window.show(picture)
            return not window.closed

        return show, lambda: None
    from vidream.core.frames import Frame  # noqa: PLC0415
    from vidream.media.encoder import open_encoder  # noqa: PLC0415

    encoder = stack.enter_context(open_encoder(target, info, settings.write))
    last = -1

    def write(came: float, picture: Any) -> bool:
        nonlocal last
        last = max(last + 1, round(came / info.time_base))
        encoder.write(Frame(picture, last, last, info.time_base, 1))
        return True

    return write, lambda: encoder.finish() if last >= 0 else None
