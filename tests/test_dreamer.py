"""The dreamer, with the default network's real weights, on small pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import textured
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from vidream import Dreamer, DreamSettings, StyleSettings
from vidream.core.devices import choose_device, choose_precision
from vidream.core.errors import DeviceError, InputError, NetworkError, SettingsError
from vidream.core.images import resize, to_tensor
from vidream.core.presets import PRESETS, preset_settings
from vidream.dream.ascent import annealed, has_converged
from vidream.dream.style_loss import total_variation

CLOUDS = Path(__file__).parents[1] / "samples" / "clouds.jpg"


@pytest.fixture(scope="module")
def image():
    return to_tensor(textured(96, 128))


def test_the_objective_rises_at_every_octave(dreamer, image):
    reports = []
    dream = dreamer.dream(image, observe=reports.append)
    assert [r.size for r in reports] == [(69, 91), (96, 128)]
    for report in reports:
        assert report.objectives[-1] > 1.1 * report.objectives[0]
    assert dreamer.objective(dream) > 1.5 * dreamer.objective(image)


def test_a_dream_is_a_picture_of_the_same_size_and_leaves_its_source_alone(dreamer, image):
    before = image.clone()
    dream = dreamer.dream(image)
    assert dream.shape == image.shape
    assert dream.dtype == torch.float32
    assert 0 <= dream.min() <= dream.max() <= 1
    assert torch.equal(image, before)
    assert not dream.requires_grad


def test_the_same_frame_dreams_the_same_and_another_does_not(dreamer, image):
    assert torch.equal(dreamer.dream(image, frame=3), dreamer.dream(image, frame=3))
    assert not torch.equal(dreamer.dream(image, frame=3), dreamer.dream(image, frame=4))


def test_no_steps_change_nothing(dreamer, image):
    assert torch.allclose(dreamer.dream(image, steps=0), image, atol=1e-6)


@pytest.fixture(scope="module")
def halved():
    """The default network in bfloat16, which this processor may have to emulate."""
    return Dreamer(DreamSettings(octaves=2, steps=4, jitter=8, precision="bfloat16"))


def test_bfloat16_points_where_float32_does(dreamer, halved):
    """Cosine of the gradients on a dreamed picture, and strength of a full dream."""
    photograph = resize(to_tensor(np.asarray(Image.open(CLOUDS).convert("RGB"))), (126, 224))
    full, half = (Dreamer(network=d.network) for d in (dreamer, halved))
    dream = full.dream(photograph)
    found = full.compute_gradient(dream), half.compute_gradient(dream)
    assert torch.cosine_similarity(*(g.gradient.flatten() for g in found), dim=0) > 0.95
    assert found[1].gradient.dtype == torch.float32
    # One dream's strength depends on its jitter by 6 %, so that only a mean tells.
    deep = [
        [float(d.objective(d.dream(photograph, frame=k))) for k in range(4)] for d in (full, half)
    ]
    assert sum(deep[1]) == pytest.approx(sum(deep[0]), rel=0.08)


@pytest.mark.parametrize("size", [(59, 59), (59, 200), (200, 59), (67, 61)])
def test_the_smallest_images_are_computed_from_nothing_but_themselves(halved, size):
    """Of smaller ones oneDNN reads what lies behind them in memory: see minimum_side."""
    image = torch.rand(1, 3, *size)
    found = []
    for value in (0.0, 1e3, float("nan")):
        litter = [torch.full((2**k,), value, dtype=torch.bfloat16) for k in range(6, 20)]
        del litter
        found.append(halved.compute_gradient(image).gradient)
    assert all(torch.equal(gradient, found[0]) for gradient in found)


def test_precision_is_what_is_asked_for(dreamer, halved):
    assert dreamer.network.dtype == torch.float32
    assert halved.network.dtype == torch.bfloat16
    assert choose_precision("auto", torch.device("mps")) == torch.float32


def test_the_step_is_the_normalised_gradient(dreamer, image):
    """One step at one octave against the formula, written out."""
    settings = DreamSettings(octaves=1, steps=1, jitter=0, color=0, detail=1, step_size=0.01)
    one = Dreamer(settings, network=dreamer.network)
    x = image.clone().requires_grad_(True)
    activation = dreamer.network.activations(x)["Mixed_6b"]
    (gradient,) = torch.autograd.grad((activation**2).mean(), x)
    expected = (image + 0.01 * gradient / gradient.abs().mean()).clamp(0, 1)
    assert torch.allclose(one.dream(image), expected, atol=1e-4)


def test_a_frame_smaller_than_the_network_takes_still_dreams(dreamer):
    tiny = to_tensor(textured(20, 30))
    dream = dreamer.dream(tiny)
    assert dream.shape == tiny.shape
    assert (dream - tiny).abs().mean() > 0.005


def test_a_gradient_comes_with_the_energy_of_each_cell_of_each_image(dreamer, image):
    images = torch.cat((image, image.flip(-1)))
    found = dreamer.compute_gradient(images)
    assert torch.equal(found.cells, dreamer.cells(images))
    assert torch.allclose(found.cells[:1], dreamer.cells(image), rtol=1e-5)
    assert float(found.cells.mean()) == pytest.approx(float(found.objective), rel=1e-5)


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    path = tmp_path_factory.mktemp("guide") / "guide.png"
    Image.fromarray(textured(150, 200, seed=9)).save(path)
    return str(path)


def test_a_guided_dream_grows_like_its_guide(dreamer, guide, image):
    guided = Dreamer(replace(dreamer.settings, guide=guide), network=dreamer.network)
    dream, plain = guided.dream(image), dreamer.dream(image)
    assert guided.objective(dream) > 1.25 * guided.objective(image)
    assert guided.objective(dream) > 1.05 * guided.objective(plain)


def test_an_octave_is_left_when_its_steps_bring_little(dreamer, image):
    taken = {}
    for until in (None, 0.0, 0.1, 1.0):
        some = Dreamer(replace(dreamer.settings, until=until, steps=12), network=dreamer.network)
        reports = []
        dream = some.dream(image, observe=reports.append)
        taken[until] = [len(report.objectives) for report in reports]
        assert some.objective(dream) > some.objective(image)
    assert taken[None] == [12, 12]
    assert taken[1.0] == [4, 4]
    assert sum(taken[1.0]) < sum(taken[0.1]) < sum(taken[0.0]) <= 24


@given(st.lists(st.floats(0.1, 10), max_size=3), st.floats(0, 1))
def test_few_steps_have_not_converged(objectives, until):
    assert not has_converged(objectives, until)


@given(st.floats(0.1, 10), st.floats(0, 0.5), st.floats(0, 0.5))
def test_even_growth_converges_under_its_share(first, growth, until):
    assume(abs(growth - until) > 1e-6)
    rising = [first * (1 + growth * step) for step in range(4)]
    assert has_converged(rising, until) == (growth < until)


def test_the_mean_is_raised_too(dreamer, image):
    even = Dreamer(replace(dreamer.settings, objective="mean"), network=dreamer.network)
    activation = dreamer.network.activations(image)["Mixed_6b"]
    assert float(even.objective(image)) == pytest.approx(float(activation.mean()), rel=1e-3)
    assert even.objective(even.dream(image)) > 1.5 * even.objective(image)


def styled(dreamer, picture, style_settings=None, **settings):
    """A dreamer that takes on a style with the shallow layers of the default network."""
    style = StyleSettings(styles=(picture,), style_size=150, **(style_settings or {}))
    return Dreamer(replace(dreamer.settings, **settings), style=style)


@pytest.mark.parametrize(("match", "left"), [("gram", 0.5), ("adain", 0.65)])
def test_a_dream_takes_on_a_style(dreamer, tmp_path, image, match, left):
    settings = {"objective": "none", "step_size": 0.03, "smoothing": 0.5, "steps": 12}
    path = tmp_path / "stripes.png"
    stripes = np.zeros((150, 200, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = (255, 40, 0)
    Image.fromarray(stripes).save(path)
    alike = styled(dreamer, str(path), {"style_match": match}, **settings)
    assert alike.objective(alike.dream(image)) > left * alike.objective(image)  # both are negative


def test_content_holds_a_dream_back(dreamer, guide, image):
    def away(weight):
        some = styled(dreamer, guide, objective="none", content_weight=weight)
        seen = [some.network.activations(x)["Mixed_5d"] for x in (image, some.dream(image))]
        return float((seen[1] - seen[0]).square().mean())

    assert away(10.0) < 0.7 * away(0.01)


def test_a_style_beside_what_grows(dreamer, guide, image):
    """Both have their say: each is better than without it."""
    both = styled(dreamer, guide)
    alone = styled(dreamer, guide, {"style_weight": 1e-6})
    dreams = [d.dream(image) for d in (both, alone)]
    assert dreamer.objective(dreams[0]) > 1.2 * dreamer.objective(image)
    assert both.objective(dreams[0]) > both.objective(dreams[1])


def test_total_variation_smooths(dreamer, image):
    smooth = Dreamer(replace(dreamer.settings, total_variation=300.0), network=dreamer.network)
    rough = [float(total_variation(d.dream(image))) for d in (smooth, dreamer)]
    assert rough[0] < 0.8 * rough[1]


def test_a_guide_by_its_statistics(dreamer, guide, image):
    by = Dreamer(
        replace(dreamer.settings, guide=guide, guide_by="statistics"), network=dreamer.network
    )
    assert by.objective_function.terms == ()
    assert by.objective(by.dream(image)) > 0.8 * by.objective(image)  # both are negative
    assert by.objective(by.dream(image)) > by.objective(dreamer.dream(image))


def test_steps_shrink_evenly():
    assert annealed(0.1, 1.0, 3) == [0.1] * 3
    assert annealed(0.1, 0.5, 3) == pytest.approx([0.1, 0.075, 0.05])
    assert annealed(0.1, 0.5, 1) == [0.1]
    assert annealed(0.1, 0.5, 0) == []


def test_nothing_to_grow(dreamer):
    with pytest.raises(SettingsError, match="`styles`"):
        Dreamer(replace(dreamer.settings, objective="none"), network=dreamer.network)
    with pytest.raises(SettingsError, match="`objective` none"):
        Dreamer(DreamSettings(objective="none", layers=("Mixed_5b",)), network=dreamer.network)


def test_a_network_without_usual_layers_of_style(guide):
    with pytest.raises(SettingsError, match="`style_layers`"):
        Dreamer(DreamSettings(network="resnet18"), style=StyleSettings(styles=(guide,)))


@pytest.mark.parametrize(
    ("size", "error", "hint"),
    [(None, InputError, "does not exist"), ((8, 300), SettingsError, "300×8")],
)
def test_a_guide_that_cannot_be_used(dreamer, tmp_path, size, error, hint):
    path = tmp_path / "guide.png"
    if size:
        Image.fromarray(textured(*size)).save(path)
    with pytest.raises(error, match=hint):
        Dreamer(replace(dreamer.settings, guide=str(path)), network=dreamer.network)


def test_a_channel_that_is_not_there():
    with pytest.raises(NetworkError, match="9999"):
        Dreamer(DreamSettings(layers=("Mixed_5b#9999",)))


def test_a_layer_that_is_not_there_lists_near_ones():
    with pytest.raises(NetworkError, match="Mixed_6b"):
        Dreamer(DreamSettings(layers=("Mixed_6z",)))


@pytest.mark.parametrize("name", [n for n, p in PRESETS.items() if "network" not in p.values])
def test_every_preset_deepens_its_own_layers(name, image):
    settings = replace(preset_settings(name).dream, octaves=2, steps=6)
    dreamer = Dreamer(settings)
    assert dreamer.objective(dreamer.dream(image)) > 1.15 * dreamer.objective(image)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there():
    with pytest.raises(DeviceError, match="set it to cpu"):
        choose_device("cuda")
    assert choose_device("auto").type in ("cpu", "mps")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_dreams_on_a_gpu(image):
    dreamer = Dreamer(DreamSettings(octaves=2, steps=4, device="cuda"))
    assert dreamer.objective(dreamer.dream(image).cuda()) > dreamer.objective(image.cuda())
