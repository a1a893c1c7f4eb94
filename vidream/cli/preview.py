"""``vidream preview`` and ``vidream atlas``: what settings give, before a long render."""

from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import click

from vidream.cli.config import given_preset
from vidream.cli.options import (
    LOGGING,
    LOOK,
    Command,
    Option,
    given_values,
    in_words,
    options_of,
    preset_option,
)
from vidream.cli.terminal import (
    ProgressBar,
    end_stopped,
    fail,
    handled_signals,
    messages,
    say,
)
from vidream.core.allocator import keep_freed_memory
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.presets import DEFAULT, preset_settings
from vidream.core.settings import Settings, find_setting, parse_time
from vidream.media.checks import check_source, check_target
from vidream.media.places import (
    Source,
    StillTarget,
    Target,
    VideoTarget,
    parse_source,
    parse_target,
)

PRESETS = (
    *(DEFAULT, "beasts", "dogs", "eyes", "feathers", "palaces", "leaves", "jungle", "flowers"),
    "psychedelic",
)
"""The presets of a preview that names none: those that show things, and need no download."""

_ATLAS_SIDE = 320
_GROUPS = (*LOOK, "Over time", "Device")
_READ = ("start", "end", "duration", "width", "height", "max_side")
_WRITE = ("overwrite", "crf")


def _option(*names: str, **how: Any) -> Option:
    return Option([*names], group="Preview", **how)


def _listed(name: str, help: str) -> Option:
    return _option(f"--{name}", f"{name}_shown", metavar="A,B,…", help=help)


_PREVIEW: list[click.Parameter] = [
    click.Argument(["source"], metavar="SOURCE"),
    _listed("presets", "A column for each preset. [default: ten that need no download]"),
    _listed("layers", "A column for each layer: NAME[#CHANNEL][:WEIGHT]."),
    _listed("strengths", "A column for each strength."),
    _listed("seeds", "A column for each seed."),
    _option(
        "--set", "axes", multiple=True, metavar="NAME=A,B,…",
        help="A column for each value of any setting, as in --set octaves=2,4,6.",
    ),
    _option("--at", multiple=True, metavar="TIME", help="A row for this moment; repeatable."),
    _option(
        "--moments", type=click.IntRange(1, 20), default=3, metavar="N",
        help="Rows, spread over the clip. [default: 3]",
    ),
    _option("--moving", is_flag=True, help="Make a clip whose cells move."),
    _option(
        "--seconds", type=click.FloatRange(0.1, 60), default=2.0, metavar="SECONDS",
        help="Length of that clip. [default: 2]",
    ),
    _option(
        "--cell", type=click.IntRange(32, 1920), default=320, metavar="PIXELS",
        help="Width of a cell. [default: 320]",
    ),
    _option(
        "-o", "--output", metavar="SHEET",
        help="Picture, or clip, to write. Unset: SOURCE.preview.jpg, or .mp4.",
    ),
    preset_option("Dream", f"What all columns start from. [default: {DEFAULT}]"),
    *(option for group in _GROUPS for option in options_of(group)),
    *options_of("Input", but=("frames", "fps", "audio", "keep_hdr", "keep_alpha")),
    *options_of("Output", but=("codec", "codec_speed", "format", "resume", "keep_work")),
    Option(["--config"], metavar="FILE.toml", help="Read settings from a file."),
    *LOGGING,
]  # fmt: skip


@click.command(cls=Command, usage="preview SOURCE [-o SHEET] [OPTIONS]", params=_PREVIEW)
def preview(source: str, **options: Any) -> None:
    """Show what settings give: rows are moments of a clip, columns are presets, or values.

    Frames are dreamed at most 512 pixels wide, unless a size is given, and shown smaller.
    """
    own = {name: options.pop(name) for name in ("at", "moments", "moving", "seconds", "cell")}
    axes_of = ("presets", "layers", "strengths", "seeds")
    named = {name: options.pop(f"{name}_shown") for name in axes_of}
    axes, output = options.pop("axes"), options.pop("output")
    quiet, verbose, config = (options.pop(name) for name in ("quiet", "verbose", "config"))
    preset = options.pop("preset")
    try:
        preset, values = given_preset(preset, config, options)
        columns = list(_columns(preset, values, named, axes))
        moments = tuple(parse_time(time) for time in own["at"])
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    read, target = _places(source, output, columns[0][1], moving=own["moving"])

    def run(progress: ProgressBar, cancel: Any) -> None:
        from vidream.render import preview as engine  # noqa: PLC0415  (it imports PyTorch)

        wanted = engine.PreviewSettings(
            at=moments, moments=own["moments"], cell=own["cell"], seconds=own["seconds"]
        )
        variants = [engine.Variant(label, settings) for label, settings in columns]
        how = {"reporter": progress, "cancel": cancel}
        if isinstance(target, VideoTarget):
            engine.preview_film(read, target, variants, wanted, progress.count, **how)
        else:
            engine.preview_sheet(read, target, variants, wanted, progress.count, **how)

    _run(run, target, quiet=quiet, verbose=verbose)


def _columns(
    preset: str | None, values: dict[str, Any], named: dict[str, str | None], axes: tuple[str, ...]
) -> Iterator[tuple[str, Settings]]:
    """Yield the label and the settings of each column; raises SettingsError."""
    for name in _split(named["presets"]):
        yield name, preset_settings(name, **values)
    base = preset or DEFAULT
    for text in _split(named["layers"]):
        yield text, preset_settings(base, **{**values, "layers": (text,)})
    for axis, setting in (("strengths", "strength"), ("seeds", "seed")):
        for text in _split(named[axis]):
            value = find_setting(setting).read(text)
            yield f"{setting} {text}", preset_settings(base, **{**values, setting: value})
    for axis in axes:
        name, equals, texts = axis.partition("=")
        if not equals or not _split(texts):
            raise SettingsError(f"{axis!r} has no values: write NAME=A,B, as in octaves=2,4")
        found = find_setting(name)
        for text in _split(texts):
            value = _switch(found.name, text) if found.type is bool else found.read(text)
            value = (value,) if found.multiple else value
            yield f"{found.flag} {text}", preset_settings(base, **{**values, found.name: value})
    if not any(named.values()) and not axes:
        for name in (preset,) if preset else PRESETS:
            yield name, preset_settings(name, **values)


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise SettingsError(f"`{name}` is true or false; not {text!r}")
    return text.lower() == "true"


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _places(
    source: str, output: str | None, settings: Settings, *, moving: bool
) -> tuple[Source, StillTarget | VideoTarget]:
    """Return a source that is there, and a target that can be written; exits if not."""
    try:
        read = parse_source(source)
        check_source(read)
        if output is None:
            path = Path(source.rstrip("/"))
            output = str(path.with_name(f"{path.stem}.preview{'.mp4' if moving else '.jpg'}"))
        target = parse_target(output, settings.write, moving=moving)
        if not isinstance(target, (StillTarget, VideoTarget)):
            raise SettingsError("a preview is one file: give a name such as sheet.jpg")
        check_target(target, read, settings.write)
    except VidreamError as error:
        fail(error)
    return read, target


def _run(
    work: Callable[[ProgressBar, Any], None], target: Target, *, quiet: bool, verbose: bool
) -> None:
    """Run a preview, with a bar; exits if that fails, or a signal ends it."""
    try:
        with (
            handled_signals() as signals,
            messages(quiet=quiet, verbose=verbose),
            ProgressBar(hidden=quiet, unit="dream") as progress,
        ):
            keep_freed_memory()
            work(progress, signals.new_run(waits=False))
    except VidreamError as error:
        fail(error)
    except KeyboardInterrupt as stop:
        end_stopped("stopped; nothing was written", stop)
    if not quiet:
        say(f"{target.name} is done")


@click.command(
    cls=Command,
    usage="atlas NETWORK [-o ATLAS] [OPTIONS]",
    params=[
        click.Argument(["network"], metavar="NETWORK"),
        _option("--channels", metavar="LAYER", help="Show every channel of this layer."),
        _option("--still", metavar="FILE", help="Photograph to dream on. Unset: a cat."),
        _option(
            "--cell", type=click.IntRange(32, 1920), metavar="PIXELS",
            help="Width of a cell. Unset: 240, of channels 112.",
        ),
        _option("-o", "--output", metavar="ATLAS", help="Picture. Unset: NETWORK.atlas.jpg."),
        *options_of("Ascent"),
        *options_of("Device"),
        *options_of("Output", but=("codec", "codec_speed", "format", "resume", "keep_work", "crf")),
        *LOGGING,
    ],
)  # fmt: skip
def atlas(network: str, **options: Any) -> None:
    """Show what each layer of a network gives, or each channel of one, on a photograph."""
    channels, still, cell = (options.pop(name) for name in ("channels", "still", "cell"))
    output = options.pop("output") or f"{network}.atlas.jpg"
    quiet, verbose = options.pop("quiet"), options.pop("verbose")
    values = given_values(options)
    try:
        columns = list(_layers(network, channels, values))
    except VidreamError as error:
        fail(error)
    with as_file(files("vidream") / "networks" / "data" / "photograph.jpg") as own:
        read, target = _places(still or str(own), output, columns[0][1], moving=False)
        if not isinstance(target, StillTarget):
            raise click.UsageError("an atlas is a picture: give a name such as atlas.jpg")

        def run(progress: ProgressBar, cancel: Any) -> None:
            from vidream.render import preview as engine  # noqa: PLC0415  (it imports PyTorch)

            width = cell or (112 if channels else 240)
            side = 160 if channels else _ATLAS_SIDE
            wanted = engine.PreviewSettings(cell=width, max_side=max(side, width))
            variants = [engine.Variant(label, settings) for label, settings in columns]
            how: dict[str, Any] = {"reporter": progress, "cancel": cancel}
            engine.preview_sheet(
                read, target, variants, wanted, progress.count, with_source=False, **how
            )

        _run(run, target, quiet=quiet, verbose=verbose)


def _layers(
    network: str, channels: str | None, values: dict[str, Any]
) -> Iterator[tuple[str, Settings]]:
    """Yield the label and settings of each layer, or of each channel of one."""
    from vidream.networks.registry import find_network  # noqa: PLC0415  (it takes its time)
    from vidream.networks.tables import list_layers  # noqa: PLC0415

    known = list_layers(network)
    if channels is None:
        bundled = find_network(network).bundled
        absent = bundled.missing if bundled else ()  # of weights that need no download
        names = [k.name for k in known if k.main and k.channels and k.name not in absent]
    else:
        counts = {name: layer.channels for layer in known for name in (layer.name, *layer.aliases)}
        if not counts.get(channels):
            raise SettingsError(
                f"{network} has no layer {channels}: see vidream list layers {network}"
            )
        names = [f"{channels}#{number}" for number in range(counts[channels] or 0)]
    for name in names:
        settings = preset_settings(**{**values, "network": network, "layers": (name,)})
        yield name.partition("#")[2] or name, settings
