"""The effect contract: what every effect keeps to, and what the dreamer does by it."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import EntryPoint

import pytest
import torch
from conftest import textured
from effect_runs import EffectRun
from PIL import Image

from vidream import Dreamer, DreamSettings, Settings
from vidream.core import registry
from vidream.core.effect import Context, InitImage, Resources
from vidream.core.errors import SettingsError
from vidream.core.images import to_tensor
from vidream.core.memory import MemoryBudget
from vidream.core.reporting import Reporter
from vidream.dream.refinement import Refiner
from vidream.effects.dream import DreamEffect
from vidream.effects.passthrough import PassThrough
from vidream.effects.registry import check_over_time, load_effect, weights_of

SHALLOW = Settings(
    dream=DreamSettings(layers=("Mixed_5b",), octaves=2, steps=2, precision="float32")
)


def frame(seed=0):
    return to_tensor(textured(96, 128, seed))


def propagated(image, source, share=0.7):
    """An initial image, a part of which is new."""
    mask = torch.full_like(source[:, :1], 1 - share)
    mask[..., 96:] = 1
    return InitImage(source + (1 - mask) * (image - source), mask)


@pytest.fixture
def run(dreamer):
    settings = Settings(dream=dreamer.settings)
    return EffectRun(DreamEffect(settings, Resources(), dreamer=dreamer), settings)


# --- by name


def test_effects_are_loaded_by_name():
    effect = load_effect(Settings(effect="none"))
    image = frame()
    run = EffectRun(effect, Settings(effect="none"))
    assert isinstance(effect, PassThrough)
    assert run.step(image) == (image, {})
    with pytest.raises(SettingsError, match="did you mean none"):
        load_effect(Settings(effect="nonee"))


def test_a_plugin_is_loaded_as_the_built_in_effects_are(monkeypatch):
    made = []

    class Plugin(PassThrough):
        def __init__(self, settings, resources):
            made.append((settings, resources))

    monkeypatch.setattr("vidream.effects.passthrough.Plugin", Plugin, raising=False)
    given = [
        EntryPoint("mine", "vidream.effects.passthrough:Plugin", "vidream.effects"),
        EntryPoint("broken", "vidream.effects.no_such_module:Effect", "vidream.effects"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: given)
    resources = Resources(reporter=Reporter())
    assert isinstance(load_effect(Settings(effect="mine"), resources), Plugin)
    assert made == [(Settings(effect="mine"), resources)]
    with pytest.raises(SettingsError, match="'broken' cannot be loaded"):
        load_effect(Settings(effect="broken"))


def test_what_an_effect_cannot_follow_is_said_early(run):
    effect = PassThrough(Settings(), Resources())
    check_over_time(effect, "none", ["strength", "coherence"])
    with pytest.raises(SettingsError, match="none cannot change `jitter`, `step_size` over time"):
        check_over_time(effect, "none", ["strength", "step_size", "jitter"])
    check_over_time(run.effect, "dream", ["step_size", "strength", "carry"])
    with pytest.raises(SettingsError, match="`style_strength`"):
        check_over_time(run.effect, "dream", ["style_strength"])


def test_weights_are_named_with_their_hashes(run, tmp_path):
    assert weights_of(PassThrough(Settings(), Resources())) == {}
    (digest,) = weights_of(run.effect).values()
    assert digest == run.effect.dreamer.network.weights_file.sha256
    mine = tmp_path / "mine.pt"
    mine.write_bytes(b"weights")
    own = Dreamer(run.settings.dream, network=run.effect.dreamer.network)
    own.settings = replace(own.settings, weights=str(mine))
    (name,) = weights_of(DreamEffect(run.settings, Resources(), dreamer=own))
    assert name == "mine.pt"


def test_memory_and_reports_of_downloads_are_those_of_the_resources(monkeypatch):
    told = []

    class Ears(Reporter):
        def download(self, done, total):
            told.append((done, total))

    def load(*_, progress, **__):
        progress(1, 2)
        return network

    network = Dreamer(SHALLOW.dream).network
    monkeypatch.setattr("vidream.dream.dreamer.load_network", load)
    budget = MemoryBudget(None, torch.device("cpu"), 2**40)
    effect = load_effect(SHALLOW, Resources(Ears(), budget))
    assert told == [(1, 2)]
    assert effect.dreamer._planner.budget is budget


# --- the dreamer


def test_a_scene_begins_from_scratch_and_goes_on_by_refinement(run, dreamer):
    image = frame()
    dream, state = run.step(image, index=3)
    assert torch.equal(dream, dreamer.dream(image, frame=3))
    assert set(state) == {"levels", "residual", "mean", "boost", "hold", "part_means", "local"}
    init = propagated(dream, image)
    refined, after = run.step(image, init, state, 4)
    target = Refiner(dreamer).measure(dream, image)
    expected, target = Refiner(dreamer).refine(init, image, target, 4)
    assert torch.equal(refined, expected)
    assert all(torch.equal(after[name], target.state[name]) for name in after)


def test_without_state_or_propagation_a_frame_is_dreamed_from_scratch(run, dreamer):
    image = frame()
    dream, state = run.step(image)
    init = propagated(dream, image)
    assert torch.equal(run.step(image, init)[0], dreamer.dream(init.image))
    assert torch.equal(run.step(image, None, state)[0], dream)


def test_nothing_is_measured_where_nothing_is_propagated(dreamer):
    settings = Settings(dream=replace(dreamer.settings, coherence=0.0))
    run = EffectRun(DreamEffect(settings, Resources(), dreamer=dreamer), settings)
    assert run.step(frame())[1] == {}


def test_settings_are_those_of_the_moment(run, dreamer):
    now = replace(dreamer.settings, steps=2, step_size=0.03, color=0.0)
    moment = EffectRun(run.effect, Settings(dream=now))
    dream, state = moment.step(frame())
    assert torch.equal(dream, Dreamer(now, network=dreamer.network).dream(frame()))
    init = propagated(dream, frame())
    assert not torch.equal(moment.step(frame(), init, state)[0], run.step(frame(), init, state)[0])


@pytest.mark.parametrize("by", ["match", "statistics"])
def test_the_guide_is_that_of_the_moment(dreamer, tmp_path, by):
    settings = replace(dreamer.settings, guide_by=by, steps=2)
    alone = Dreamer(settings, network=dreamer.network)
    effect = DreamEffect(Settings(dream=settings), Resources(), dreamer=alone)
    for seed in (7, 8):
        guide = textured(90, 120, seed)
        Image.fromarray(guide).save(tmp_path / "guide.png")
        still = replace(settings, guide=str(tmp_path / "guide.png"))
        context = Context(0, Fraction(0), Settings(dream=settings), guide)
        dream, _ = effect.step(InitImage(frame()), frame(), context, {})
        expected = Dreamer(still, network=dreamer.network).dream(frame())
        assert torch.allclose(dream, expected, atol=1e-5)
        guided = effect._guided[1]
        effect.step(InitImage(frame()), frame(), context, {})
        assert effect._guided[1] is guided  # seen once, however many frames it guides


# --- wherever it is called from


def two_frames(settings):
    """Load an effect and make two frames, all in the caller's mode."""
    run, image = EffectRun(load_effect(settings), settings), frame()
    first, state = run.step(image)
    second, state = run.step(image, propagated(first, image), state, 1)
    return first, second, *state.values()


def varied(tmp_path):
    """Settings of every effect; together they take every path through the dreamer."""
    Image.fromarray(textured(96, 128, 5)).save(tmp_path / "style.png")
    picture = str(tmp_path / "style.png")
    yield SHALLOW
    yield SHALLOW.updated(
        guide=picture,
        content_weight=0.1,
        content_layers=("Mixed_5b",),
        total_variation=2.0,
        padding="reflect",
        jitter_rotation=3.0,
        styles=(picture,),
        style_layers=("Mixed_5b",),
        style_size=64,
    )
    yield SHALLOW.updated(effect="none")
    yield SHALLOW.updated(effect="pixelnn", layers=(), examples=(picture,), match_size=40)


def in_a_thread(function, *arguments):
    found = []
    thread = threading.Thread(target=lambda: found.append(function(*arguments)))
    thread.start()
    thread.join()
    return found[0]


def test_effects_work_in_any_autograd_mode_and_thread(tmp_path):
    for settings in varied(tmp_path):
        expected = two_frames(settings)
        for mode in (torch.inference_mode, torch.no_grad):
            with mode():
                found = two_frames(settings)
            assert all(map(torch.equal, found, expected))
        assert all(map(torch.equal, in_a_thread(two_frames, settings), expected))


def test_an_effect_that_was_loaded_in_inference_mode_works_outside(tmp_path):
    for settings in varied(tmp_path):
        image = frame()
        with torch.inference_mode():
            run = EffectRun(load_effect(settings), settings)
            source = frame()  # an inference tensor
        first, state = run.step(image)
        init = propagated(first, source)
        with torch.inference_mode():
            second, _ = run.step(source, init, state, 1)
        expected = two_frames(settings)
        assert torch.equal(first, expected[0])
        assert torch.equal(second, expected[1])


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_dreamer_works_where_autograd_is_off(dreamer, mode):
    def all_of_it(tiles):
        dreamer = Dreamer(SHALLOW.dream, budget=MemoryBudget(None, torch.device("cpu"), 2**40))
        dreamer._planner.budget.max_pixels = 1 if tiles else 2**40
        image = to_tensor(textured(230, 300))
        found = dreamer.compute_gradient(image)
        dream = dreamer.dream(image, steps=1)
        return dream, dreamer.objective(image), dreamer.cells(image), found.gradient

    for tiles in (False, True):
        expected = all_of_it(tiles)
        with mode():
            assert all(map(torch.equal, all_of_it(tiles), expected))
