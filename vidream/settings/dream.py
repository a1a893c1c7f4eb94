"""What is dreamed, and how deeply."""

from __future__ import annotations

from dataclasses import dataclass

from vidream.errors import SettingsError
from vidream.settings.options import Validated, option
from vidream.settings.terms import ClassTerm, LayerTerm, parse_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DreamSettings(Validated):
    """What is dreamed, and how deeply."""

    network: str = option("inception", "Network that dreams: see --list-networks.", metavar="NAME")
    layers: tuple[LayerTerm, ...] = option(
        (),
        "Layer whose activations grow: NAME, NAME:WEIGHT or NAME#CHANNEL; may be repeated. "
        "Unset: the network's own. See --list-layers.",
        metavar="LAYER",
        parse=LayerTerm.parse,
        flag="layer",
        common=True,
    )
    objective: str = option(
        "energy",
        "What of a layer grows: energy, its mean square, mean, its mean activation, or none, for "
        "a style alone.",
        choices=("energy", "mean", "none"),
    )
    classes: tuple[ClassTerm, ...] = option(
        (),
        "Class that shall be seen, with a network that knows classes: NAME or NAME:WEIGHT; may be "
        "repeated. Grows instead of layers, unless they are given too. See --list-classes.",
        metavar="CLASS",
        parse=ClassTerm.parse,
        flag="class",
    )
    guide: str | None = option(
        None,
        "Picture, or video that runs in step, whose features grow instead: each place becomes more "
        "like that part of it which it is most like already.",
        metavar="FILE",
    )
    guide_by: str = option(
        "match",
        "How it does so: match, each place for itself, or statistics, all places together: mean "
        "and deviation of what layers see become the guide's.",
        choices=("match", "statistics"),
    )
    content_weight: float = option(
        0.0,
        "How much it counts that layers see in the dream what they see in the frame.",
        metavar="WEIGHT",
        minimum=0,
    )
    content_layers: tuple[LayerTerm, ...] = option(
        (),
        "These layers; written as --layer. Unset: the network's own.",
        metavar="LAYER",
        parse=LayerTerm.parse,
        flag="content-layer",
    )
    total_variation: float = option(
        0.0,
        "How much it counts that neighbouring pixels are alike.",
        metavar="WEIGHT",
        minimum=0,
    )
    weights: str | None = option(None, "Weights file to use for the network.", metavar="FILE")
    octaves: int = option(
        4, "Number of sizes to dream at, from small to large.", minimum=1, maximum=16
    )
    octave_scale: float = option(
        1.4, "Ratio of one octave's size to the next.", minimum=1.05, maximum=4
    )
    steps: int = option(
        6,
        "Gradient steps at each octave of a fresh frame.",
        minimum=0,
        maximum=10_000,
        over_time=True,
    )
    until: float | None = option(
        None,
        "Leave an octave of a fresh frame as soon as its steps raise the objective by less than "
        "this share each, as in 0.001.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
        over_time=True,
    )
    carried_steps: float = option(
        0.5,
        "Gradient steps at full size on a frame that carries a dream; 0.5 refines one half of it, "
        "in turn.",
        metavar="STEPS",
        minimum=0,
        maximum=10_000,
        over_time=True,
    )
    weak_steps: int = option(
        4,
        "Further steps where the dream of such a frame is weak, as on ground that is new.",
        minimum=0,
        maximum=10_000,
        over_time=True,
    )
    step_size: float = option(
        0.009,
        "Mean change of a pixel in an octave's first step (1 = black to white).",
        minimum=0,
        maximum=1,
        over_time=True,
    )
    anneal: float = option(
        0.5,
        "Size of an octave's last step on a fresh frame, over that of its first.",
        minimum=0,
        maximum=1,
    )
    jitter: int = option(
        8,
        "Largest random shift before each step, in pixels.",
        minimum=0,
        maximum=512,
        over_time=True,
    )
    jitter_rotation: float = option(
        0.0,
        "Largest random turn before each step: what grows is smoother, and holds at any angle.",
        metavar="DEGREES",
        minimum=0,
        maximum=180,
    )
    jitter_scale: float = option(
        0.0,
        "Largest random growth before each step: 0.1 = a tenth larger or smaller.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
    )
    jitter_noise: float = option(
        0.0,
        "Random noise that the network sees at each step, and the dream never shows: σ, where 1 = "
        "black to white.",
        metavar="FLOAT",
        minimum=0,
        maximum=1,
    )
    grey: bool = option(False, "Let the network see greys, so that what grows is grey as well.")
    padding: str = option(
        "wrap",
        "What the network sees beyond the frame's borders: its other side, where jitter moves it; "
        "else, around all of it, its reflection, its last pixels or black.",
        choices=("wrap", "reflect", "replicate", "zero"),
    )
    color: float = option(
        0.7,
        "Colors of what grows: 0 = vivid, 1 = natural.",
        minimum=0,
        maximum=1,
        over_time=True,
    )
    detail: float = option(
        0.4,
        "Size of what grows: 1 = fine, as the gradient is in pixels; 0.5 weights frequencies by "
        "1/f, 0 by 1/f²: large and soft.",
        minimum=0,
        maximum=1,
        over_time=True,
    )
    smoothing: float = option(
        0.0, "Gaussian blur of the gradient, σ in pixels.", minimum=0, maximum=32, over_time=True
    )
    normalize: str = option(
        "mean",
        "What the gradient is divided by: mean |g| or its deviation.",
        choices=("mean", "std"),
    )
    coherence: float = option(
        1.0,
        "How still the dream holds: 0 = every frame its own dream, 1 = as still as it gets.",
        minimum=0,
        maximum=1,
        over_time=True,
        common=True,
    )
    carry: float | None = option(
        None,
        "Share of the dream that a frame takes over from the one before. Unset: as --coherence.",
        minimum=0,
        maximum=1,
        over_time=True,
    )
    flow: str = option(
        "dis",
        "Estimator of motion: dis, raft (needs its weights, 4 MB), farneback, none, or a "
        "plugin's name.",
        metavar="NAME",
    )
    recall: int = option(
        4,
        "Older frames kept for ground that is hidden for a moment and comes back, one in 8 frames.",
        metavar="N",
        minimum=0,
        maximum=64,
    )
    seed: int = option(0, "Seed of the jitter.", minimum=0, maximum=2**63 - 1)
    device: str = option("auto", "Where the network runs.", choices=("auto", "cpu", "cuda", "mps"))
    memory: int | None = option(
        None,
        "Most memory to take, as in 4G or 800M: larger frames are dreamed in tiles. Unset: what "
        "the device has to spare.",
        metavar="SIZE",
        parse=parse_bytes,
        minimum=1,
    )
    precision: str = option(
        "auto",
        "Numbers that the network computes in: bfloat16 where the device has instructions for it.",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        """Check ranges, and accept layers and memory written as text."""
        if isinstance(self.memory, str):
            object.__setattr__(self, "memory", parse_bytes(self.memory))
        Validated.__post_init__(self)
        for name in ("layers", "content_layers"):
            terms = (LayerTerm.parse(t) if isinstance(t, str) else t for t in getattr(self, name))
            object.__setattr__(self, name, tuple(terms))
        classes = tuple(ClassTerm.parse(c) if isinstance(c, str) else c for c in self.classes)
        object.__setattr__(self, "classes", classes)
        if self.guide is not None and classes and not self.layers:
            raise SettingsError("a guide is for layers: give a layer beside the class, or no guide")

    @property
    def carried_share(self) -> float:
        """Share of the dream that a frame takes over from the one before."""
        return self.coherence if self.carry is None else self.carry
