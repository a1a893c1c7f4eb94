"""Every setting, its default, its range and its help, stated once; the CLI is derived from here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, Self

from vidream.errors import SettingsError

OCTAVE_RATE = 10
"""Pictures a second of an octave film: 100 ms each."""

ZOOM_RATE = 25
"""Frames a second of an endless zoom."""

MOST_ZOOM = 1.25
"""Enlargement of one frame into the next, more than which leaves nothing to follow."""

ZOOM_SECONDS = 10
"""Length of an endless zoom."""


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is offered on the command line, and which values it takes."""

    help: str
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    flag: str | None = None
    """Name of the command line option, where it is not the field's own."""


def _option(default: Any, help: str, **details: Any) -> Any:
    return field(default=default, metadata={"option": Option(help, **details)})


def option_of(setting: Field[Any]) -> Option:
    """Give the :class:`Option` of a dataclass field of this module."""
    option: Option = setting.metadata["option"]
    return option


class _Validated:
    """Checks every field against its :class:`Option` on construction."""

    def __post_init__(self) -> None:
        for setting in fields(self):  # type: ignore[arg-type]
            value = getattr(self, setting.name)
            if "option" in setting.metadata and value is not None:
                _check(setting, value)


def _check(setting: Field[Any], value: Any) -> None:
    option, name = option_of(setting), setting.name.replace("_", "-")
    if option.choices and value not in option.choices:
        raise SettingsError(f"{name} is one of {', '.join(option.choices)}; not {value!r}")
    if option.minimum is None and option.maximum is None:
        return
    low = -math.inf if option.minimum is None else option.minimum
    high = math.inf if option.maximum is None else option.maximum
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        bounds = f"from {low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
        raise SettingsError(f"{name} is a number {bounds}; not {value!r}")
    if isinstance(setting.default, int) and not isinstance(value, int):
        raise SettingsError(f"{name} is a whole number; not {value!r}")


@dataclass(frozen=True, slots=True)
class LayerTerm:
    """One term of the objective: a layer, or one channel of it, and its weight.

    Written ``NAME``, ``NAME:WEIGHT``, ``NAME#CHANNEL`` or ``NAME#CHANNEL:WEIGHT``.
    """

    layer: str
    weight: float = 1.0
    channel: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``Mixed_6b#42:0.5``.

        Raises:
            SettingsError: the text is not of that form, or the weight is not finite.
        """
        match = re.fullmatch(r"([\w.]+)(?:#(\d+))?(?::([-+.\deE]+))?", text)
        try:
            if match is None:
                raise ValueError
            name, channel, weight = match.groups()
            term = cls(name, float(weight or 1), None if channel is None else int(channel))
            if not math.isfinite(term.weight):
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text!r} is not a layer: write NAME, NAME:WEIGHT or NAME#CHANNEL, "
                "as in Mixed_6b#42:0.5"
            ) from None
        return term

    def __str__(self) -> str:
        channel = "" if self.channel is None else f"#{self.channel}"
        return f"{self.layer}{channel}" + (f":{self.weight:g}" if self.weight != 1 else "")


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """A picture that a style is taken from, and its weight beside the others'.

    Written ``FILE`` or ``FILE:WEIGHT``; a file whose name ends like a weight needs one.
    """

    path: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``brush.jpg:0.5``.

        Raises:
            SettingsError: there is no name, or the weight is not above 0 and finite.
        """
        match = re.fullmatch(r"(.+?)(?::([-+]?[\d.]+(?:[eE][-+]?\d+)?))?", text)
        try:
            if match is None:
                raise ValueError
            term = cls(match[1], float(match[2] or 1))
            if not 0 < term.weight < math.inf:
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"{text!r} is not a style: write FILE or FILE:WEIGHT with a weight above 0, "
                "as in brush.jpg:0.5"
            ) from None
        return term

    def __str__(self) -> str:
        plain = self.weight == 1 and type(self).parse(self.path).path == self.path
        return self.path if plain else f"{self.path}:{self.weight:g}"


def parse_time(text: str) -> float:
    """Read ``90``, ``1:30`` or ``0:01:30.5`` as seconds.

    Raises:
        SettingsError: the text is not a time.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text.strip())
    if match is None:
        raise SettingsError(f"{text!r} is not a time: write seconds (90.5) or [H:]MM:SS (1:30.5)")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_bytes(text: str) -> int:
    """Read ``4G``, ``800M`` or ``1.5GiB`` as bytes; every unit is 1024 times the one before it.

    Raises:
        SettingsError: the text is not an amount of memory.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    size = int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " ")) if match else 0
    if size < 1:
        raise SettingsError(f"{text!r} is not an amount of memory: write 4G, 800M or 1.5GiB")
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class DreamSettings(_Validated):
    """What is dreamed, and how deeply."""

    network: str = _option("inception", "Network that dreams: see --list-networks.", metavar="NAME")
    layers: tuple[LayerTerm, ...] = _option(
        (),
        "Layer whose activations grow: NAME, NAME:WEIGHT or NAME#CHANNEL; may be repeated. "
        "Unset: the network's own. See --list-layers.",
        metavar="LAYER",
        parse=LayerTerm.parse,
        flag="layer",
    )
    objective: str = _option(
        "energy",
        "What of a layer grows: energy, its mean square, or mean, its mean activation.",
        choices=("energy", "mean"),
    )
    guide: str | None = _option(
        None,
        "Picture whose features grow instead: each place becomes more like that part of it which "
        "it is most like already.",
        metavar="FILE",
    )
    weights: str | None = _option(None, "Weights file to use for the network.", metavar="FILE")
    octaves: int = _option(
        4, "Number of sizes to dream at, from small to large.", minimum=1, maximum=16
    )
    octave_scale: float = _option(
        1.4, "Ratio of one octave's size to the next.", minimum=1.05, maximum=4
    )
    steps: int = _option(
        10, "Gradient steps at each octave of a fresh frame.", minimum=0, maximum=10_000
    )
    carried_steps: int = _option(
        1,
        "Gradient steps at full size on a frame that carries a dream.",
        minimum=0,
        maximum=10_000,
    )
    weak_steps: int = _option(
        4,
        "Further steps where the dream of such a frame is weak, as on ground that is new.",
        minimum=0,
        maximum=10_000,
    )
    step_size: float = _option(
        0.01, "Mean change of a pixel in one step (1 = black to white).", minimum=0, maximum=1
    )
    jitter: int = _option(
        8, "Largest random shift before each step, in pixels.", minimum=0, maximum=512
    )
    smoothing: float = _option(
        1.5, "Gaussian blur of the gradient, σ in pixels.", minimum=0, maximum=32
    )
    normalize: str = _option(
        "mean",
        "What the gradient is divided by: mean |g| or its deviation.",
        choices=("mean", "std"),
    )
    coherence: float = _option(
        1.0,
        "How still the dream holds: 0 = every frame its own dream, 1 = as still as it gets.",
        minimum=0,
        maximum=1,
    )
    carry: float | None = _option(
        None,
        "Share of the dream that a frame takes over from the one before. Unset: as --coherence.",
        minimum=0,
        maximum=1,
    )
    flow: str = _option(
        "dis",
        "Estimator of motion: dis, raft (needs its weights, 4 MB), farneback, none, or a "
        "plugin's name.",
        metavar="NAME",
    )
    recall: int = _option(
        4,
        "Older frames kept for ground that is hidden for a moment and comes back, one in 8 frames.",
        metavar="N",
        minimum=0,
        maximum=64,
    )
    seed: int = _option(0, "Seed of the jitter.", minimum=0, maximum=2**63 - 1)
    device: str = _option("auto", "Where the network runs.", choices=("auto", "cpu", "cuda", "mps"))
    memory: int | None = _option(
        None,
        "Most memory to take, as in 4G or 800M: larger frames are dreamed in tiles. Unset: what "
        "the device has to spare.",
        metavar="SIZE",
        parse=parse_bytes,
        minimum=1,
    )
    precision: str = _option(
        "auto",
        "Numbers that the network computes in: bfloat16 where the device has instructions for it.",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        """Check ranges, and accept layers and memory written as text."""
        if isinstance(self.memory, str):
            object.__setattr__(self, "memory", parse_bytes(self.memory))
        _Validated.__post_init__(self)
        terms = tuple(LayerTerm.parse(t) if isinstance(t, str) else t for t in self.layers)
        object.__setattr__(self, "layers", terms)

    @property
    def carried_share(self) -> float:
        """Share of the dream that a frame takes over from the one before."""
        return self.coherence if self.carry is None else self.carry


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSettings(_Validated):
    """Which style frames are painted in, by the effect ``adain``."""

    styles: tuple[StyleTerm, ...] = _option(
        (),
        "Picture whose style is taken: FILE, or FILE:WEIGHT; may be repeated, to mix them.",
        metavar="FILE",
        parse=StyleTerm.parse,
        flag="style",
    )
    style_strength: float = _option(
        1.0, "How much of the style: 0 = none, 1 = all of it.", minimum=0, maximum=1
    )
    style_size: int = _option(
        512,
        "Shorter side at which a style is looked at: larger gives broader strokes.",
        metavar="PIXELS",
        minimum=32,
        maximum=4096,
    )
    content_size: int | None = _option(
        None,
        "Shorter side at which frames are painted, at most: smaller is faster and gives broader "
        "strokes. Unset: half of the frame's own, but from 128 to 512.",
        metavar="PIXELS",
        minimum=16,
        maximum=4096,
    )
    preserve_color: bool = _option(
        False, "Match the colours of the style to those of each scene's first frame."
    )

    def __post_init__(self) -> None:
        """Check ranges, and accept styles written as text."""
        _Validated.__post_init__(self)
        terms = tuple(StyleTerm.parse(t) if isinstance(t, str) else t for t in self.styles)
        object.__setattr__(self, "styles", terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings(_Validated):
    """Which part of the source is read, and at what size."""

    start: float | None = _option(
        None,
        "Begin at this time: seconds or [H:]MM:SS.",
        metavar="TIME",
        parse=parse_time,
        minimum=0,
    )
    end: float | None = _option(
        None, "Stop at this time.", metavar="TIME", parse=parse_time, minimum=0
    )
    duration: float | None = _option(
        None,
        f"Stop after this long. Unset, for a zoom: {ZOOM_SECONDS} seconds.",
        metavar="TIME",
        parse=parse_time,
        minimum=0,
    )
    frames: int | None = _option(None, "Stop after this many frames.", metavar="N", minimum=1)
    width: int | None = _option(
        None,
        "Scale to this width; the height follows unless given.",
        metavar="PIXELS",
        minimum=16,
        maximum=16384,
    )
    height: int | None = _option(
        None,
        "Scale to this height; the width follows unless given.",
        metavar="PIXELS",
        minimum=16,
        maximum=16384,
    )
    max_side: int | None = _option(
        None,
        "Scale down so that the longer side is at most this.",
        metavar="PIXELS",
        minimum=16,
        maximum=16384,
    )
    fps: float | None = _option(
        None,
        "Drop or repeat frames to this rate, before they are dreamed. Unset, for films of a "
        f"still: {OCTAVE_RATE} for octaves, {ZOOM_RATE} for a zoom.",
        metavar="RATE",
        minimum=0.01,
        maximum=1000,
    )

    def __post_init__(self) -> None:
        """Check ranges, and that the limits agree."""
        _Validated.__post_init__(self)
        if self.end is not None and self.duration is not None:
            raise SettingsError("give either end or duration, not both")
        if self.end is not None and self.end <= (self.start or 0):
            raise SettingsError("end is not after start: nothing would be left")
        if self.duration == 0:
            raise SettingsError("duration is 0: nothing would be left")
        if self.max_side is not None and (self.width is not None or self.height is not None):
            raise SettingsError("give either max-side or width and height, not both")

    @property
    def stop(self) -> float | None:
        """Time at which reading stops, in seconds from the beginning of the source."""
        if self.duration is not None:
            return (self.start or 0) + self.duration
        return self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmSettings(_Validated):
    """What film is made of a still. Every field at its default: as the target asks."""

    animate: bool = _option(
        False, "Make a film even where TARGET could be a picture, as .webp could."
    )
    every: int | None = _option(
        None,
        "Show a picture after each N steps, the still first. Unset: one for each octave.",
        metavar="N",
        minimum=1,
    )
    first_octave: int | None = _option(
        None,
        "Where the octaves begin: 0 is the still's own size, below are smaller, above larger. "
        "Unset: as many below it as above, -2 to 2 of five.",
        metavar="N",
        minimum=-16,
        maximum=8,
    )
    blend: float = _option(
        0.5,
        "Share of the octave before in what an octave starts from; the rest is the still.",
        minimum=0,
        maximum=1,
    )
    zoom: float | None = _option(
        None,
        "Instead of octaves: an endless zoom, each frame the one before enlarged by this and "
        "dreamed on. Unset, with rotate: as little as keeps the corners covered.",
        minimum=1,
        maximum=MOST_ZOOM,
    )
    rotate: float = _option(
        0.0,
        "Turn each frame clockwise by this.",
        metavar="DEGREES",
        minimum=-10,
        maximum=10,
    )
    loop: bool = _option(False, "Let the last second of a zoom flow into its beginning.")
    zoom_steps: int = _option(
        3,
        "Gradient steps at full size on each frame of a zoom, in place of carried-steps.",
        minimum=0,
        maximum=10_000,
    )
    zoom_smoothing: float = _option(
        0.7,
        "Blur of the gradient in a zoom, in place of smoothing: what will be enlarged has to be "
        "drawn finely.",
        minimum=0,
        maximum=32,
    )

    def __post_init__(self) -> None:
        """Check ranges, and that the wishes go together."""
        _Validated.__post_init__(self)
        if self.loop and not self.zooms:
            raise SettingsError("loop is for an endless zoom: give zoom or rotate as well")
        if self.zooms and (self.every is not None or self.first_octave is not None):
            raise SettingsError(
                "every and first-octave are for films of octaves: leave them out, or zoom and "
                "rotate"
            )

    @property
    def zooms(self) -> bool:
        """Whether it is an endless zoom, and not a film of octaves."""
        return self.zoom is not None or self.rotate != 0

    @property
    def asked(self) -> bool:
        """Whether a film was asked for, whatever the target is."""
        return self != FilmSettings()

    def deepened(self, dream: DreamSettings) -> DreamSettings:
        """Give the dream of each picture of the film; a zoom has its own steps.

        It carries all of the frame before, for it has no other source.
        """
        if not self.zooms:
            return dream
        return replace(
            dream, carried_steps=self.zoom_steps, smoothing=self.zoom_smoothing, carry=1.0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSettings(_Validated):
    """How the dream is encoded."""

    codec: str | None = _option(
        None,
        "Video codec. Unset: the container's usual one (H.264, or VP9 in WebM).",
        choices=("h264", "hevc", "vp9", "av1", "prores", "ffv1"),
    )
    crf: int | None = _option(
        None,
        "Quality of the video, lower is better. Unset: the codec's usual (18 for H.264).",
        metavar="N",
        minimum=0,
        maximum=63,
    )
    codec_speed: str = _option(
        "medium",
        "Time the encoder spends on making the file small.",
        choices=("slow", "medium", "fast"),
    )
    format: str = _option("y4m", "What is written to a pipe (-o -).", choices=("y4m", "nut"))
    overwrite: bool = _option(False, "Replace the output if it is there.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishSettings(_Validated):
    """What becomes of a dream before it is shown; nothing of it is carried on."""

    keep_edges: float = _option(
        0.0,
        "Smooth what the dream adds, but not across the outlines of the source: 0 = not at all, "
        "1 = wholly.",
        metavar="AMOUNT",
        minimum=0,
        maximum=1,
    )
    keep_color: bool = _option(False, "Dream in brightness only, in the colours of the source.")
    match_color: str | None = _option(
        None,
        "Match the dream's colours to those of the source, or of a picture.",
        metavar="source|FILE",
    )
    mask: str | None = _option(
        None,
        "Show the dream only where this picture or video is white, or not transparent. A video "
        "runs in step with the clip; its last frame holds.",
        metavar="FILE",
    )
    feather: int = _option(
        8,
        "Width of the soft edge, inside of what the mask shows.",
        metavar="PIXELS",
        minimum=0,
        maximum=512,
    )

    def __post_init__(self) -> None:
        """Check ranges, and that not both ways with colour are wanted."""
        _Validated.__post_init__(self)
        if self.keep_color and self.match_color is not None:
            raise SettingsError("give either keep-color or match-color, not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(_Validated):
    """Everything that :func:`vidream.dream_video` can be told."""

    dream: DreamSettings = field(default_factory=DreamSettings)
    style: StyleSettings = field(default_factory=StyleSettings)
    read: ReadSettings = field(default_factory=ReadSettings)
    write: WriteSettings = field(default_factory=WriteSettings)
    finish: FinishSettings = field(default_factory=FinishSettings)
    film: FilmSettings = field(default_factory=FilmSettings)
    effect: str = _option(
        "dream",
        "What is done to each frame: dream, adain (paints it in the style of pictures: see Style), "
        "none, or a plugin's name.",
        metavar="NAME",
    )

    def __post_init__(self) -> None:
        """Check that a style has an effect that takes it."""
        _Validated.__post_init__(self)
        if self.style.styles and self.effect != "adain":
            raise SettingsError("a style is for the effect adain: add --effect adain")

    def updated(self, **values: Any) -> Self:
        """Give a copy with the named settings changed, whichever part they belong to.

        Raises:
            SettingsError: a name is no setting, or a value is out of range.
        """
        parts: dict[str, Any] = {
            "dream": self.dream,
            "style": self.style,
            "read": self.read,
            "write": self.write,
            "finish": self.finish,
            "film": self.film,
        }
        for part, settings in parts.items():
            own = {s.name for s in fields(settings)}
            changes = {name: values.pop(name) for name in list(values) if name in own}
            parts[part] = replace(settings, **changes)
        if unknown := set(values) - {"effect"}:
            raise SettingsError(f"no such setting: {', '.join(sorted(unknown))}")
        return replace(self, **parts, **values)


def default_of(setting: Field[Any]) -> Any:
    """Give a field's default, None where it has none."""
    return None if setting.default is MISSING else setting.default
