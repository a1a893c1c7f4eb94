"""The dreamer."""

from dataclasses import dataclass
from functools import partial

from vidream.core.errors import SettingsError
from vidream.core.settings.options import Validated, option
from vidream.core.settings.terms import ClassTerm, LayerTerm, parse_bytes, parse_devices

_dream = partial(option, group="Dream")
_content = partial(option, group="Content")
_ascent = partial(option, group="Ascent")
_motion = partial(option, group="Motion")
_device = partial(option, group="Device")


@dataclass(frozen=True, slots=True, kw_only=True)
class DreamSettings(Validated):
    """Objective, gradient ascent, motion and device of the dreamer."""

    network: str = _dream("inception", "Network.", metavar="NAME", common=True)
    layers: tuple[LayerTerm, ...] = _dream(
        (),
        "Layer to maximize: NAME[#CHANNEL][:WEIGHT]; repeatable.",
        metavar="LAYER",
        flag="layer",
        common=True,
    )
    objective: str = _dream(
        "energy",
        "Objective of a layer: energy (mean square), mean, or none (style alone).",
        choices=("energy", "mean", "none"),
    )
    classes: tuple[ClassTerm, ...] = _dream(
        (),
        "Class to maximize, as in volcano: NAME[:WEIGHT]; repeatable.",
        metavar="CLASS",
        flag="class",
        common=True,
    )
    guide: str | None = _dream(
        None, "Image or video whose features grow instead.", metavar="FILE", common=True
    )
    guide_by: str = _dream(
        "match",
        "How: match (each place its most similar part), statistics (mean and deviation).",
        choices=("match", "statistics"),
    )
    weights: str | None = _dream(None, "Weights file of the network.", metavar="FILE")
    content_weight: float = _content(
        0.0, "Weight of the content loss.", metavar="WEIGHT", minimum=0
    )
    content_layers: tuple[LayerTerm, ...] = _content(
        (),
        "Layer of the content loss: NAME[:WEIGHT]; repeatable.",
        metavar="LAYER",
        flag="content-layer",
    )
    total_variation: float = _content(
        0.0, "Weight of the total variation loss.", metavar="WEIGHT", minimum=0
    )
    octaves: int = _ascent(
        4, "Octaves: sizes dreamed at, small to large.", within=(1, 16), common=True
    )
    octave_scale: float = _ascent(
        1.4, "Ratio of an octave's size to the one before.", within=(1.05, 4)
    )
    steps: int = _ascent(
        6, "Gradient steps per octave.", within=(0, 10_000), over_time=True, common=True
    )
    until: float | None = _ascent(
        None,
        "Early stopping: end an octave when a step improves the objective by less than this "
        "fraction.",
        metavar="FRACTION",
        within=(0, 1),
        over_time=True,
    )
    refine_steps: float = _ascent(
        0.5,
        "Gradient steps per propagated frame; 0.5 refines one half of it, in turn.",
        metavar="STEPS",
        within=(0, 10_000),
        over_time=True,
    )
    weak_steps: int = _ascent(
        2,
        "Further steps where such a frame's dream is weak, as in new regions.",
        within=(0, 10_000),
        over_time=True,
    )
    step_size: float = _ascent(
        0.009,
        "Mean change of a pixel in an octave's first step; black to white is 1.",
        within=(0, 1),
        over_time=True,
    )
    anneal: float = _ascent(0.5, "Size of an octave's last step over its first.", within=(0, 1))
    jitter: int = _ascent(
        8, "Largest random shift per step, in pixels.", within=(0, 512), over_time=True
    )
    jitter_rotation: float = _ascent(
        0.0, "Largest random rotation per step.", metavar="DEGREES", within=(0, 180)
    )
    jitter_scale: float = _ascent(
        0.0, "Largest random scaling per step: 0.1 is ±10 %.", within=(0, 1)
    )
    jitter_noise: float = _ascent(
        0.0, "Standard deviation of random noise added per step.", within=(0, 1)
    )
    grey: bool = _ascent(False, "Show the network greys, so that only greys grow.")
    padding: str = _ascent(
        "wrap",
        "What the network sees beyond the frame's border.",
        choices=("wrap", "reflect", "replicate", "zero"),
    )
    color: float = _ascent(
        0.7,
        "Colors of the dream: 0 is vivid, 1 natural.",
        within=(0, 1),
        over_time=True,
        common=True,
    )
    detail: float = _ascent(
        0.4,
        "Scale of the dream: 0 is large and soft, 1 fine.",
        within=(0, 1),
        over_time=True,
        common=True,
    )
    smoothing: float = _ascent(
        0.0, "Gaussian blur of the gradient, σ in pixels.", within=(0, 32), over_time=True
    )
    normalize: str = _ascent(
        "mean", "Gradient normalization: mean |g|, std.", choices=("mean", "std")
    )
    seed: int = _ascent(0, "Random seed.", within=(0, 2**63 - 1))
    coherence: float = _motion(
        1.0,
        "Temporal coherence: 0 dreams each frame independently, 1 is most stable.",
        within=(0, 1),
        over_time=True,
        common=True,
    )
    flow: str = _motion("dis", "Optical flow estimator.", metavar="NAME")
    recall: int = _motion(
        4,
        "Keyframes kept to restore regions that reappear after occlusion.",
        metavar="N",
        within=(0, 64),
    )
    split: float | None = _motion(
        None,
        "Cut scenes that are longer into pieces, which are dreamed by themselves and blended.",
        metavar="SECONDS",
        within=(1, 86_400),
    )
    device: str = _device(
        "auto",
        "Compute device: auto, cpu, cuda, cuda:1, mps; of several, each renders scenes.",
        metavar="NAME[,NAME]",
        parse=parse_devices,
    )
    memory: int | None = _device(
        None,
        "Memory limit, as in 4G or 800M; larger frames are tiled.",
        metavar="SIZE",
        parse=parse_bytes,
        minimum=1,
        common=True,
    )
    precision: str = _device("auto", "Compute dtype.", choices=("auto", "float32", "bfloat16"))

    def __post_init__(self) -> None:
        Validated.__post_init__(self)
        if self.guide is not None and self.classes and not self.layers:
            raise SettingsError("`guide` needs layers: set `layers` beside `classes`, or no guide")
