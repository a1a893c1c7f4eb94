"""``vidream plan``: the scenes of a clip, and what they cost."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from vidream.cli.config import given_preset
from vidream.cli.options import LOGGING, LOOK, Command, Option, in_words, options_of, preset_option
from vidream.cli.terminal import ProgressBar, end_stopped, fail, handled_signals, messages
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.presets import DEFAULT, preset_settings
from vidream.core.settings import Settings, format_time
from vidream.media.checks import check_source
from vidream.media.places import FileTarget
from vidream.render.job import Job, find_places

_GROUPS = (*LOOK, "Over time", "Input", "Device")
_TARGET = "dream.mp4"  # whose segments a plan is for; most kinds of file are alike
_SHOWN = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # numbers of workers

_OPTIONS: list[click.Parameter] = [
    click.Argument(["source"], metavar="SOURCE"),
    Option(["--json", "as_json"], is_flag=True, group="Plan", help="Print JSON."),
    preset_option("Dream", f"What one sees, as in eyes. [default: {DEFAULT}]"),
    *(option for group in _GROUPS for option in options_of(group)),
    Option(["--config"], metavar="FILE.toml", help="Read settings from a file."),
    *LOGGING,
]


@click.command(cls=Command, usage="plan SOURCE [--json] [OPTIONS]", params=_OPTIONS)
def plan(source: str, as_json: bool, **options: Any) -> None:
    """List the scenes of a clip, and what they cost to dream.

    Scenes are found by decoding the clip once. What a frame costs is measured on the first ones.
    """
    quiet, verbose, config = (options.pop(name) for name in ("quiet", "verbose", "config"))
    try:
        preset, values = given_preset(options.pop("preset"), config, options)
        settings = preset_settings(preset or DEFAULT, **values)
        job = _job(source, settings)
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    except VidreamError as error:
        fail(error)
    with (
        handled_signals() as signals,
        messages(quiet=quiet, verbose=verbose),
        ProgressBar(hidden=quiet or as_json, signals=signals) as progress,
    ):
        try:
            found = _found(replace(job, reporter=progress, cancel=signals.new_run(waits=False)))
        except KeyboardInterrupt as stop:
            progress.close()
            end_stopped("stopped", stop)
        except VidreamError as error:
            progress.close()
            fail(error)
    click.echo(json.dumps(found, indent=1) if as_json else _text(found))


def _job(source: str, settings: Settings) -> Job:
    read, target = find_places(source, _TARGET, settings, animated=False)
    if read.is_live:
        raise SettingsError("a pipe or a camera has no plan: give a file")
    if read.is_picture:
        raise SettingsError("a picture has no scenes: give a video")
    check_source(read)
    return Job(read, target, settings)


def _found(job: Job) -> dict[str, Any]:
    """Return the plan of a job, as JSON takes it; raises VidreamError."""
    from vidream.media.reader import open_reader  # noqa: PLC0415  (these import PyTorch)
    from vidream.render.cost import TimeModel, measure_cost, useful_workers  # noqa: PLC0415
    from vidream.render.division import parts_of  # noqa: PLC0415
    from vidream.render.fingerprint import machine  # noqa: PLC0415
    from vidream.render.segments import SegmentFormat  # noqa: PLC0415

    with open_reader(job.source, job.settings.read) as reader:
        info = reader.info
    assert isinstance(job.target, FileTarget)
    format = SegmentFormat.of(job.target, info, job.settings.write)
    began = time.perf_counter()
    parts = list(parts_of(job, format))
    took = time.perf_counter() - began
    if not parts:
        raise VidreamError(f"{job.source.name} gives no frame to dream: is it whole?")
    cost = measure_cost(job)
    frames = sum(part.frames for part in parts)
    seconds = [cost.of(part) for part in parts]
    model = TimeModel(scan=frames / took)
    scenes = [
        {
            "first": scene.first,
            "time": float(scene.time),
            "length": float(scene.length),
            "frames": scene.frames,
            "duplicates": scene.duplicates,
            "part": part.number,
            "seconds": cost.of_scene(scene),
        }
        for part in parts
        for scene in part.scenes
    ]
    workers = sorted({*(n for n in _SHOWN if n <= len(parts)), len(parts)})
    place = machine(job.settings)
    return {
        "source": job.source.name,
        "width": info.width,
        "height": info.height,
        "frames": frames,
        "scenes": scenes,
        "parts": len(parts),
        "device": place["device"],
        "precision": place["precision"],
        "seconds_from_scratch": cost.scratch,
        "seconds_carried": cost.carried,
        "seconds": sum(seconds),
        "seconds_to_plan": took,
        "workers": {str(n): model.predict(parts, seconds, n) for n in workers},
        "useful_workers": useful_workers(model, parts, seconds),
    }


def _text(found: dict[str, Any]) -> str:
    rows: list[Sequence[str]] = [("scene", "frame", "time", "length", "frames", "part", "takes")]
    for number, scene in enumerate(found["scenes"], 1):
        rows.append(
            (
                str(number),
                str(scene["first"]),
                format_time(scene["time"]),
                format_time(scene["length"]),
                str(scene["frames"]),
                str(scene["part"] + 1),
                format_time(scene["seconds"]),
            )
        )
    shown = (format_time(found["workers"][n]) + f" with {n}" for n in found["workers"])
    longest = max(scene["seconds"] for scene in found["scenes"])
    lines = [
        _aligned(rows),
        "",
        f"{found['frames']} frames of {found['width']}×{found['height']}; "
        f"{found['seconds_from_scratch']:.2f} s a frame from scratch, "
        f"{found['seconds_carried']:.2f} s otherwise "
        f"({found['device']}, {found['precision']})",
        f"{format_time(found['seconds'])} in all; by the number of workers like this one: "
        + ", ".join(shown),
        f"more than {found['useful_workers']} gain little: "
        f"the longest scene takes {format_time(longest)}",
    ]
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns, aligned at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
