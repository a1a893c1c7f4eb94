"""Style transfer by AdaIN: the published definition, its networks, and what it does to a clip."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import textured
from effect_runs import EffectRun, flicker, makes_each_on_its_own
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from vidream import Settings, StyleTerm
from vidream.cli import cli
from vidream.core.effect import InitImage, Resources
from vidream.core.errors import InputError, SettingsError, WeightsError
from vidream.core.images import to_tensor
from vidream.dream.style_images import read_style
from vidream.effects import decoder
from vidream.effects.adain import AdaIn, Scene, Statistics, adain, working_size
from vidream.effects.registry import load_effect, weights_of
from vidream.networks import weights
from vidream.networks.network import load_network
from vidream.postprocess.colour import match_colour, palette

FULL = Settings().updated(effect="adain", precision="float32", device="cpu")
CPU = torch.device("cpu")
PUBLISHED = ("vgg_normalised.pth", "decoder.pth")


def published(name):
    """A published weights file; None where there is none."""
    folders = os.environ.get("VIDREAM_WEIGHTS", "").split(os.pathsep)
    places = [Path(f).expanduser() / name for f in folders if f]
    return next((path for path in places if path.is_file()), None)


needs_weights = pytest.mark.skipif(
    not all(map(published, PUBLISHED)),
    reason=f"needs {' and '.join(PUBLISHED)}: $VIDREAM_WEIGHTS",
)


def random_state(spec, needed, *_):
    """Random weights under which activations neither fade nor explode."""
    torch.manual_seed(1)
    made = {}
    for name, like in needed.items():
        made[name] = torch.randn(like.shape) * (2 / max(1, like[0].numel())) ** 0.5
        if name.endswith("bias"):
            made[name] = torch.zeros(like.shape)
    return made


@pytest.fixture(scope="module")
def networks():
    """Encoder and decoder of the real shapes, with random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidream.networks.network.read_state", random_state)
        patch.setattr("vidream.effects.decoder.read_state", random_state)
        return {"encoder": load_network("vgg19", ["relu4_1"]), "decoder": decoder.load_decoder()}


@pytest.fixture(scope="module")
def brush(tmp_path_factory):
    return save(tmp_path_factory.mktemp("styles") / "brush.png", textured(72, 96, 5))


def save(path, picture):
    Image.fromarray(picture).save(path)
    return str(path)


@pytest.fixture
def effect(networks, brush):
    def make(**values):
        settings = FULL.updated(**{"styles": (brush,), "style_size": 64, **values})
        return EffectRun(AdaIn(settings, Resources(), **networks), settings)

    return make


def frame(height=48, width=64, seed=0):
    return to_tensor(textured(height, width, seed))


def plain(run, image):
    return run.step(image)[0]


# The definition


@pytest.mark.parametrize("shape", [(1, 512, 9, 16), (1, 3, 1, 2), (1, 8, 5, 1)])
def test_adain_is_the_published_definition(shape):
    content, style = torch.randn(shape) * 3 + 1, torch.rand(1, shape[1], 7, 4) * 5
    given = adain(content, Statistics.of(style))
    for channel in range(shape[1]):  # with numpy, one channel at a time, in double precision
        c, s = (x[0, channel].double().numpy() for x in (content, style))
        spread = [np.sqrt(x.var(ddof=1) + 1e-5) for x in (c, s)]
        expected = spread[1] * (c - c.mean()) / spread[0] + s.mean()
        assert np.abs(given[0, channel].numpy() - expected).max() < 1e-5


def test_the_result_has_the_statistics_of_the_style():
    style = Statistics.of(torch.rand(1, 6, 8, 8) * 4)
    given = Statistics.of(adain(torch.randn(1, 6, 12, 9), style))
    assert torch.allclose(given.mean, style.mean, atol=1e-5)
    assert torch.allclose(given.deviation, style.deviation, rtol=1e-4)


def test_flat_channels_stay_finite():
    given = adain(torch.full((1, 2, 4, 4), 3.0), Statistics.of(torch.zeros(1, 2, 4, 4)))
    assert torch.equal(given, torch.zeros(1, 2, 4, 4))


def test_mixing_statistics_is_mixing_what_they_make():
    content = torch.randn(1, 4, 6, 6)
    styles = [Statistics.of(torch.rand(1, 4, 5, 5) * k) for k in (1, 7)]
    mixed = adain(content, Statistics.mixed(styles, (0.25, 0.75)))
    apart = 0.25 * adain(content, styles[0]) + 0.75 * adain(content, styles[1])
    assert torch.allclose(mixed, apart, atol=1e-5)


def test_a_scene_is_read_back_from_its_state():
    scene = Scene(*(Statistics.of(torch.rand(1, 5, 4, 4)) for _ in range(3)))
    assert all(tensor.dtype == torch.float32 for tensor in scene.state.values())
    back = Scene.from_state(scene.state, CPU)
    for name in ("content", "style", "colors"):
        for part in ("mean", "deviation"):
            pair = (getattr(getattr(x, name), part) for x in (scene, back))
            assert torch.equal(*pair)


# The networks


def reference_decoder():
    """The published decoder as its authors write it."""

    def padded(channels, made):
        return [nn.ReflectionPad2d(1), nn.Conv2d(channels, made, 3)]

    layers = []
    for channels, made, doubled in [
        (512, 256, True), (256, 256, False), (256, 256, False), (256, 256, False),
        (256, 128, True), (128, 128, False), (128, 64, True), (64, 64, False),
    ]:  # fmt: skip
        layers += [*padded(channels, made), nn.ReLU()]
        layers += [nn.Upsample(scale_factor=2, mode="nearest")] * doubled
    return nn.Sequential(*layers, *padded(64, 3))


def check_decoder(path, monkeypatch):
    reference = reference_decoder()
    reference.load_state_dict(torch.load(path, weights_only=True))
    monkeypatch.setenv("VIDREAM_WEIGHTS", str(Path(path).parent))
    features = torch.rand(1, 512, 4, 6)
    with torch.no_grad():
        expected = reference(features)
    assert expected.shape == (1, 3, 32, 48)
    assert torch.allclose(decoder.load_decoder()(features), expected, atol=1e-4)


def test_the_decoder_is_read_as_it_is_published(tmp_path, monkeypatch):
    path = tmp_path / "decoder.pth"
    torch.save(reference_decoder().state_dict(), path)
    monkeypatch.setattr(weights.WeightsFile, "matches", lambda *_: True)
    check_decoder(path, monkeypatch)


@needs_weights
def test_the_decoder_with_its_weights(monkeypatch):
    check_decoder(published("decoder.pth"), monkeypatch)


@needs_weights
def test_with_the_weights_the_decoder_undoes_the_encoder(brush):
    """At strength 0 nothing of the style is in it: what is left is what relu4_1 kept."""
    clouds = read_style(str(Path(__file__).parents[1] / "samples" / "clouds.jpg"), 96)
    settings = FULL.updated(styles=(brush,), content_size=96)
    effect = load_effect(settings)
    assert set(weights_of(effect)) == set(PUBLISHED)
    none, strong = (
        plain(EffectRun(effect, settings.updated(style_strength=s)), clouds) for s in (0, 1)
    )
    assert (none - clouds).abs().mean() < 0.06
    assert (strong - clouds).abs().mean() > 0.12


def test_a_decoder_that_cannot_be_had_is_one_line(networks, brush, clip, tmp_path, monkeypatch):
    def refuse(url, *_, **__):
        raise WeightsError(f"cannot download {url}: no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIDREAM_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "download", refuse)
    monkeypatch.setattr("vidream.effects.adain.load_network", lambda *_: networks["encoder"])
    line = fails(clip, tmp_path, "--style", brush)
    assert "decoder.pth" in line
    assert "$VIDREAM_WEIGHTS" in line


# Frames


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (16, 16), (37, 53), (64, 96)])
def test_every_size_is_kept(effect, size):
    image = torch.rand(1, 3, *size)
    given = plain(effect(), image)
    assert given.shape == image.shape
    assert given.dtype == torch.float32
    assert 0 <= float(given.min()) <= float(given.max()) <= 1
    assert not given.requires_grad


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((360, 640), None, (180, 320)),
        ((200, 100), None, (200, 100)),
        ((1080, 1920), None, (512, 910)),
        ((1, 900), None, (1, 900)),
        ((360, 640), 512, (360, 640)),
        ((1920, 1080), 512, (910, 512)),
        ((3, 900), 16, (3, 900)),
    ],
)
def test_large_frames_are_painted_smaller(size, limit, expected):
    assert working_size(size, limit) == expected


def test_what_is_painted_smaller_keeps_the_frames_own_detail(effect):
    image = torch.rand(1, 3, 64, 96)  # noise, of which nothing is left at a quarter of the size
    given = plain(effect(content_size=16), image)
    fine = [(x - x.mean((-2, -1), keepdim=True))[..., 1:, 1:] for x in (given, image)]
    assert torch.corrcoef(torch.stack([x.flatten() for x in fine]))[0, 1] > 0.3


def test_strength_goes_from_the_content_to_the_style(effect):
    image = frame()
    none, half, all_of_it = (plain(effect(style_strength=s), image) for s in (0, 0.5, 1))
    steps = [float((given - none).abs().mean()) for given in (half, all_of_it)]
    assert 0 < steps[0] < steps[1]


def test_weights_count_beside_each_other(effect, brush, tmp_path):
    other = save(tmp_path / "other.png", 255 - textured(80, 64, 9))
    image = frame()

    def painted(*styles):
        return plain(effect(styles=styles), image)

    assert torch.allclose(painted(f"{brush}:2", f"{other}:2"), painted(brush, other), atol=1e-5)
    assert torch.allclose(painted(brush, f"{other}:1e-6"), painted(brush), atol=1e-3)
    assert not torch.allclose(painted(brush, other), painted(brush), atol=1e-2)


def test_a_style_is_encoded_once(effect, monkeypatch):
    seen = []
    run = effect()
    encode = run.effect._encode
    monkeypatch.setattr(run.effect, "_encode", lambda image: seen.append(image) or encode(image))
    for seed in range(3):
        plain(run, frame(seed=seed))
    assert len(seen) == 4


# Colours


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_matched_colours_have_the_mean_and_covariance_of_the_other(seed):
    random = torch.Generator().manual_seed(seed)

    def middling():
        colors = torch.randn(1, 3, 400, generator=random)
        mix = 0.05 * (torch.eye(3) + 0.3 * torch.randn(3, 3, generator=random).clamp(-1, 1))
        return (0.5 + torch.einsum("ij,bjn->bin", mix, colors)).view(1, 3, 20, 20)

    picture, like = middling(), middling()
    given = match_colour(picture, palette(like))
    assert torch.allclose(given.mean((2, 3)), like.mean((2, 3)), atol=1e-2)
    wanted, got = (torch.cov(x[0].flatten(1)) for x in (like, given))
    assert (wanted - got).abs().max() < 0.1 * wanted.abs().max() + 2e-4


def test_grey_and_flat_pictures_can_be_matched():
    flat = torch.full((1, 3, 8, 8), 0.3)
    like = torch.rand(1, 3, 8, 8)
    assert torch.allclose(
        match_colour(flat, palette(like)).mean((2, 3)), like.mean((2, 3)), atol=1e-3
    )
    assert (
        match_colour(like.mean(1, keepdim=True).expand(1, 3, 8, 8), palette(like)).isfinite().all()
    )
    assert torch.allclose(match_colour(like, palette(flat)), flat, atol=0.05)


def test_colours_are_those_of_the_scenes_first_frame(effect):
    run = effect(match_style_color=True)
    first, later = frame(seed=1), frame(seed=1).roll(9, -1) * 0.9
    _, state = run.step(first)
    _, kept = run.step(later, all_new(later), state)
    _, anew = run.step(later)
    style, kept, anew = (Scene.from_state(s, CPU).style for s in (state, kept, anew))
    assert style.change(kept) == 0
    assert style.change(anew) > 0.001


def test_a_scene_that_fades_in_is_matched_to_what_it_shows(effect):
    run = effect(match_style_color=True)
    image = frame()
    state = {}
    for light in (0.0, 0.02, 0.2, 0.6, 1.0, 1.0):
        _, state = run.step(light * image, all_new(light * image), state)
    held = Scene.from_state(state, CPU)
    own = Scene.from_state(run.step(image)[1], CPU)
    assert held.style.change(own.style) < 0.2
    assert held.content.change(own.content) < 0.2


# Time


def all_new(image):
    """A start within a scene to which nothing is propagated."""
    return InitImage(image, torch.ones_like(image[:, :1]))


def test_statistics_of_the_content_follow_slowly(effect):
    run = effect()
    first = frame(seed=1)
    later = 0.97 * first
    _, state = run.step(first)
    _, after = run.step(later, all_new(later), state)
    _, own = run.step(later)
    a, b, c = (Scene.from_state(s, CPU).content.mean for s in (state, after, own))
    assert torch.allclose(b, 0.9 * a + 0.1 * c, atol=1e-4)


@pytest.mark.parametrize(("known", "share"), [(1.0, 0.8), (0.75, 0.4), (0.5, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("carry", [1.0, 0.5])
def test_known_regions_keep_most_of_their_painting(effect, known, share, carry):
    run = effect(coherence=carry)
    image = 0.25 + frame() / 2
    painting = (image + 0.1 * torch.rand_like(image)).clamp(0, 1)
    anew, state = run.step(image)
    # As propagation makes it, where that share of each pixel is known.
    mask = torch.full_like(image[:, :1], 1 - carry * known)
    given, _ = run.step(image, InitImage(image + carry * (painting - image), mask), state, 1)
    assert torch.allclose(given, torch.lerp(anew, painting, share * carry), atol=2e-3)


def test_without_coherence_every_frame_is_painted_on_its_own(effect):
    assert makes_each_on_its_own(effect(coherence=0))


def test_what_is_painted_moves_with_the_scene(effect):
    assert flicker(effect()) < 0.5 * flicker(effect(coherence=0))


# The command


def run(clip, tmp_path, *options):
    arguments = [clip, "-o", str(tmp_path / "styled.mp4"), "--effect", "adain", *options]
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def fails(clip, tmp_path, *options):
    """The line that a failing run says, and nothing else."""
    result = run(clip, tmp_path, *options)
    assert result.exit_code == 1, result.output
    assert not (tmp_path / "styled.mp4").exists()
    (line,) = result.output.strip().splitlines()
    return line


@pytest.fixture
def random_weights(monkeypatch):
    monkeypatch.setattr("vidream.networks.network.read_state", random_state)
    monkeypatch.setattr("vidream.effects.decoder.read_state", random_state)


def test_inference_mode_changes_nothing(random_weights, brush):
    def painted():
        run = EffectRun(load_effect(settings), settings)
        first, state = run.step(frame())
        return first, run.step(frame(), all_new(first), state)[0]

    settings = FULL.updated(styles=(brush,), style_size=64)
    with torch.inference_mode():
        found = painted()
    assert all(map(torch.equal, found, painted()))


def test_the_command_paints_a_clip(random_weights, clip, brush, tmp_path):
    options = ("--style", brush, "--style", f"{brush}:0.5", "--style-strength", 0.8)
    result = run(clip, tmp_path, *options, "--style-size", 64, "--match-style-color", "--frames", 3)
    assert result.exit_code == 0, result.output
    with av.open(str(tmp_path / "styled.mp4")) as done:
        frames = list(done.decode(video=0))
    assert [(f.width, f.height) for f in frames] == [(96, 64)] * 3


def test_what_is_wrong_is_one_line(random_weights, clip, brush, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_bytes(b"Dear diary,\n" * 50)
    small = save(tmp_path / "small.png", textured(8, 200))
    for options, says in [
        ((), "--style"),
        (("--style", tmp_path / "none.jpg"), "does not exist"),
        (("--style", text), "is not a picture"),
        (("--style", small), "at least 32 pixels"),
    ]:
        assert says in fails(clip, tmp_path, *options)


def test_a_style_for_an_effect_that_has_none_is_a_usage_error(clip, brush, tmp_path):
    target = str(tmp_path / "d.mp4")
    result = CliRunner().invoke(cli, [clip, "-o", target, "--effect", "none", "--style", brush])
    assert result.exit_code == 2
    assert "takes no style" in result.output


def test_it_is_found_by_name_and_needs_a_style():
    with pytest.raises(SettingsError, match="`styles`"):
        load_effect(FULL)
    with pytest.raises(SettingsError, match="did you mean adain"):
        load_effect(FULL.updated(effect="adian"))


@example("0:0", 1.0)
@example("a:.", 1.0)
@given(st.from_regex(r"[\w./ :-]{0,20}[\w./-]", fullmatch=True), st.floats(0.001, 100))
def test_a_style_is_read_as_it_is_written(path, weight):
    term = StyleTerm(path, float(f"{weight:g}"))
    assert StyleTerm.parse(str(term)) == term
    assert StyleTerm.parse(str(StyleTerm(path))) == StyleTerm(path)


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("a.jpg", "a.jpg", 1),
        ("a.jpg:0.5", "a.jpg", 0.5),
        (r"C:\a.jpg:2", r"C:\a.jpg", 2),
        ("9:16.png", "9:16.png", 1),
        ("a.jpg:1e-2", "a.jpg", 0.01),
    ],
)
def test_styles(text, path, weight):
    assert StyleTerm.parse(text) == StyleTerm(path, weight)
    assert Settings().updated(styles=(text,), effect="adain").style.styles == (
        StyleTerm(path, weight),
    )


@pytest.mark.parametrize("text", ["", "a.jpg:0", "a.jpg:-1", "a.jpg:1e999", "a.jpg:1.2.3"])
def test_what_is_no_style(text):
    with pytest.raises(SettingsError, match="FILE:WEIGHT"):
        StyleTerm.parse(text)


def test_a_style_is_brought_to_size(tmp_path):
    path = save(tmp_path / "strip.png", textured(40, 400))
    assert read_style(path, 64).shape == (1, 3, 26, 256)
    assert read_style(save(tmp_path / "b.png", textured(80, 100)), 40).shape == (1, 3, 40, 50)
    with pytest.raises(InputError, match=r"^style: "):
        read_style(str(tmp_path / "gone.png"), 64)
