"""HDR against the standards' own figures, and made SDR against a slow, exact way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidream.media.hdr import (
    HLG,
    PQ,
    WHITE,
    PqCurve,
    ToneMapper,
    compress_highlights,
    hlg_light,
    hlg_signal,
    pq_light,
    pq_signal,
)


def test_pq_is_that_of_the_standard():
    """ST 2084 and BT.2408: 58 % is 203 cd/m², 75 % about 1000; the ends are exact."""
    assert pq_light(np.array([0.0, 1.0])) == pytest.approx([0, 10_000])
    assert pq_light(0.5807) == pytest.approx(203, rel=0.005)
    assert pq_light(0.7518) == pytest.approx(1000, rel=0.005)
    light = np.geomspace(0.01, 10_000, 200)
    assert pq_light(pq_signal(light)) == pytest.approx(light, rel=1e-6)


def test_hlg_is_that_of_the_standard():
    """BT.2100: half the signal is a twelfth of the light, both branches meet there."""
    assert hlg_light(np.array([0.0, 0.5, 1.0])) == pytest.approx([0, 1 / 12, 1], abs=1e-6)
    assert hlg_light(0.5 + 1e-9) == pytest.approx(1 / 12, abs=1e-6)
    light = np.linspace(0, 1, 200)
    assert hlg_light(hlg_signal(light)) == pytest.approx(light, abs=1e-6)
    # BT.2408: 75 % of HLG is 203 cd/m² on the screen of 1000.
    assert 1000 * hlg_light(0.75) ** 1.2 == pytest.approx(203, rel=0.01)


@given(st.floats(260, 10_000))
def test_highlights_bend_and_the_rest_stays(peak):
    light = np.linspace(0, peak, 500)
    bent = compress_highlights(light, peak)
    assert np.all(np.diff(bent) > 0)
    assert bent[-1] == pytest.approx(1, abs=1e-6)
    most, white = float(pq_signal(peak)), float(pq_signal(WHITE))
    below = float(pq_light((1.5 * white / most - 0.5) * most))  # BT.2390's knee
    small = light[light < below]
    assert bent[: len(small)] == pytest.approx(small / WHITE, rel=1e-6, abs=1e-9)


def exact(picture, transfer, peak=1000.0):
    """The same in float64, step by step as the standards have it, pixel by pixel."""
    signal = picture.astype(np.float64) / 65535
    if transfer == HLG:
        scene = hlg_light(signal)
        brightness = scene @ np.array([0.2627, 0.6780, 0.0593])
        light = 1000 * brightness[..., None] ** 0.2 * scene
    else:
        light = pq_light(signal)
    most = light.max(axis=2, keepdims=True)
    light = light * compress_highlights(most, peak) / np.maximum(most, 1e-9)
    # Through XYZ, from the chromaticities of BT.2020 and BT.709.
    ways = []
    for red, green, blue in (
        ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
        ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    ):
        columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (red, green, blue)]).T
        white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
        ways.append(columns * np.linalg.solve(columns, white))
    shown = light @ (np.linalg.inv(ways[1]) @ ways[0]).T
    return 255 * np.clip(shown, 0, 1) ** (1 / 2.4)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_the_quick_way_is_the_exact_one(transfer):
    random = np.random.default_rng(0)
    picture = random.integers(0, 65536, (60, 70, 3)).astype(np.uint16)
    picture[:20] //= 4
    picture[20:30, :, :] = picture[20:30, :, :1]
    if transfer == PQ:  # no light above 1000, which the peak says
        picture = np.minimum(picture, round(float(pq_signal(1000)) * 65535)).astype(np.uint16)
    apart = np.abs(ToneMapper(transfer)(picture) - exact(picture, transfer))
    assert apart.max() < 1.5


def test_greys_stay_grey_and_white_is_bright():
    levels = np.round(pq_signal(np.array([0, 1, 20, 100, 203, 1000])) * 65535).astype(np.uint16)
    shown = ToneMapper(PQ)(np.repeat(levels[None, :, None], 3, axis=2))[0]
    assert np.ptp(shown.astype(int), axis=1).max() <= 1
    assert shown[0].max() == 0
    assert 225 < shown[4, 0] < 245
    assert shown[5].min() >= 254


def test_a_peak_that_is_told_is_used():
    light = np.array([203.0, 400.0, 4000.0])
    signal = np.round(pq_signal(light) * 65535).astype(np.uint16)
    picture = np.repeat(signal[None, :, None], 3, axis=2)
    low, high = ToneMapper(PQ, 400)(picture)[0, :, 0], ToneMapper(PQ, 4000)(picture)[0, :, 0]
    assert low[0] > high[0]
    assert low[1] == low[2] == 255  # beyond its own peak all is white
    assert high[1] < high[2] == 255
    absurd = ToneMapper(PQ, 1e9)(picture)[0, :, 0]
    assert np.array_equal(absurd, ToneMapper(PQ, 10_000)(picture)[0, :, 0])


@pytest.mark.parametrize("peak", [None, 400.0, 4000.0])
def test_what_pq_is_dreamed_in_leads_back(peak):
    curve = PqCurve(peak)
    most = round(65535 * float(pq_signal(peak or 1000)))
    signal = np.arange(0, most, 7, dtype=np.uint16).reshape(-1, 1, 1).repeat(3, 2)
    dreamed = curve.from_pq(signal)
    assert np.all(np.diff(dreamed[:, 0, 0].astype(int)) >= 0)
    assert dreamed[0].max() == 0
    assert dreamed.max() > 65000
    apart = np.abs(curve.to_pq(dreamed).astype(int) - signal)
    assert apart[signal > 65535 * 0.05].max() < 65535 / 1023  # less than a level of 10 bits
    # White is where HLG has it, so that a dream looks as it does in HLG.
    if peak is None:
        white = round(65535 * float(pq_signal(WHITE)))
        assert curve.from_pq(np.full((1, 1, 3), white, np.uint16))[0, 0, 0] / 65535 == (
            pytest.approx(0.75, abs=0.005)
        )
