"""HDR transfer functions, tone mapping to SDR, and the curve in which HDR is dreamed.

Signal to light by BT.2100 (HLG at 1000 cd/m²); BT.2390 on the maximum of R, G, B, so that hues
stay; BT.2087 to BT.709; white of BT.2408; light to signal by BT.1886.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vidream.core.frames import HdrPicture, Picture

Floats = npt.NDArray[np.float32]

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
WHITE = 203.0  # SDR's, cd/m²
USUAL_PEAK = 1000.0  # of undeclared recordings, and of HLG's screen, cd/m²

_BT2020 = np.array((0.2627, 0.6780, 0.0593), np.float32)  # Y of linear R, G, B
_TO_BT709 = np.array(
    ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349),
     (-0.018151, -0.100579, 1.118730)), np.float32,
)  # fmt: skip
_STRIP = 2**15  # pixels
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_light(signal: Any) -> Any:
    """Return the luminance in cd/m² of PQ signals in [0, 1] (SMPTE ST 2084)."""
    power = np.asarray(signal, np.float64) ** (1 / _M2)
    return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def pq_signal(light: Any) -> Any:
    """Return the PQ signals in [0, 1] of luminance in cd/m²."""
    power = (np.asarray(light, np.float64) / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def hlg_light(signal: Any) -> Any:
    """Return the scene light in [0, 1] of HLG signals in [0, 1] (BT.2100)."""
    a, signal = 0.17883277, np.asarray(signal, np.float64)
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def hlg_signal(light: Any) -> Any:
    """Return the HLG signals in [0, 1] of scene light in [0, 1]."""
    a, light = 0.17883277, np.asarray(light, np.float64)
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    bright = a * np.log(np.maximum(12 * light - b, 1e-9)) + c
    return np.where(light <= 1 / 12, np.sqrt(3 * light), bright)


def _known(peak: float | None) -> float:
    return USUAL_PEAK if peak is None else min(max(peak, 1.25 * WHITE), 10_000.0)


class PqCurve:
    """The encoding in which PQ images are dreamed: HLG's curve, scaled to the recording's peak.

    A step of a dream that is small in HLG or SDR would blind in PQ, which reaches 10 000 cd/m².

    Args:
        peak: cd/m²; None for :data:`USUAL_PEAK`.
    """

    def __init__(self, peak: float | None = None) -> None:
        peak, levels = _known(peak), np.linspace(0, 1, 2**16)
        shares = np.minimum(pq_light(levels) / peak, 1)
        self._from = np.rint(65535 * hlg_signal(shares ** (1 / 1.2))).astype(np.uint16)
        light = np.minimum(peak * hlg_light(levels) ** 1.2, 10_000)
        self._to = np.rint(65535 * pq_signal(light)).astype(np.uint16)

    def from_pq(self, picture: HdrPicture) -> HdrPicture:
        """Return a PQ image, uint16, in this curve; light beyond the peak is clipped."""
        return cast(HdrPicture, self._from[picture])

    def to_pq(self, picture: Picture | HdrPicture) -> HdrPicture:
        """Return an image in this curve, uint16, in PQ."""
        return cast(HdrPicture, self._to[picture])


def compress_highlights(light: Any, peak: float) -> Any:
    """Return luminance in cd/m², up to ``peak``, compressed to [0, 1], 1 being SDR's white.

    BT.2390, 5.4.1, without black level lift.
    """
    most = float(pq_signal(peak))
    signal = np.minimum(pq_signal(np.minimum(light, peak)) / most, 1)
    white = float(pq_signal(WHITE)) / most
    knee = 1.5 * white - 0.5
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    curve += (-2 * t**3 + 3 * t**2) * white
    return pq_light(np.where(signal < knee, signal, curve) * most) / WHITE


class ToneMapper:
    """Maps 16-bit PQ or HLG images of BT.2020 to 8-bit ones of BT.709.

    Args:
        transfer: :data:`PQ` or :data:`HLG`.
        peak: cd/m²; None for :data:`USUAL_PEAK`.
    """

    def __init__(self, transfer: int, peak: float | None = None) -> None:
        levels = np.linspace(0, 1, 2**16)
        self._scene = transfer == HLG
        peak = USUAL_PEAK if self._scene else _known(peak)
        light = hlg_light(levels) if self._scene else pq_light(levels)
        self._light = light.astype(np.float32)
        # Gain by the square root of luminance: dark tones need more steps.
        roots = np.linspace(0, 1, 2**12)
        bright = np.maximum(roots**2 * peak, 1e-6)
        self._change = (compress_highlights(bright, peak) / bright).astype(np.float32)
        self._peak = peak
        self._shown = np.rint(255 * levels ** (2 / 2.4)).astype(np.uint8)  # of roots, likewise

    def __call__(self, picture: npt.NDArray[np.uint16]) -> Picture:
        """Return the uint8 ``[H, W, 3]`` image of a uint16 one."""
        # Strips that fit the cache: four times as fast.
        rows = max(1, _STRIP // picture.shape[1])
        strips = (picture[top : top + rows] for top in range(0, len(picture), rows))
        return np.concatenate([self._map(strip) for strip in strips])

    def _map(self, picture: npt.NDArray[np.uint16]) -> Picture:
        light: Floats = self._light[picture]
        if self._scene:
            # BT.2100's OOTF, whose gamma is 1.2 at 1000 cd/m².
            brightness = np.maximum(light @ _BT2020, np.float32(1e-9))
            light *= (USUAL_PEAK * brightness ** np.float32(0.2))[..., None]
        most = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
        place = np.sqrt(np.minimum(most / self._peak, 1)) * (len(self._change) - 1)
        low = np.minimum(place.astype(np.int32), len(self._change) - 2)
        change = self._change[low] + (place - low) * (self._change[low + 1] - self._change[low])
        shown = (light * change[..., None].astype(np.float32)) @ _TO_BT709.T
        roots = np.sqrt(np.clip(shown, 0, 1))
        places = np.rint(roots * (len(self._shown) - 1)).astype(np.uint16)
        return cast(Picture, self._shown[places])
