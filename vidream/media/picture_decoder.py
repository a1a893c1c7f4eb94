"""Clips that are made of pictures: numbered files, and animations that FFmpeg does not read."""

import logging
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from vidream.core.errors import InputError
from vidream.media.checks import check_source
from vidream.media.decoder import ClipFacts, Decoded, Decoder
from vidream.media.frame_rate import USUAL_RATE
from vidream.media.info import Colour
from vidream.media.pictures import animation, open_picture, upright
from vidream.media.places import AnimationFile, PictureFiles, StillFile
from vidream.media.tracks import TrackPacket

_log = logging.getLogger(__name__)

_MILLISECOND = Fraction(1, 1000)
_LEAST, _USUAL = 10, 100  # ms: a picture that shows no longer than the least shows as usual


class PictureFilesDecoder(Decoder):
    """Decodes numbered pictures, at a constant rate.

    Raises:
        InputError: there are none.
    """

    def __init__(self, source: PictureFiles, rate: Fraction | None = None) -> None:
        self.source, self._files = source, source.files
        if not self._files:
            check_source(source)  # which says so
        self._rate = rate or Fraction(USUAL_RATE)
        self._left_out = 0  # pictures at the beginning
        count = len(self._files)
        self.facts = ClipFacts(
            aspect=Fraction(1),
            rate=self._rate,
            tick=self._rate,
            frames=count,
            length=count / self._rate,
        )

    @property
    def base(self) -> Fraction:
        """Seconds per picture."""
        return 1 / self._rate

    def seek(self, time: Fraction) -> None:
        """Leave out the pictures before a time."""
        self._left_out = round((self.offset + time) * self._rate)

    def items(self) -> Iterator[Decoded | TrackPacket]:
        """Yield the pictures."""
        first = round(self.offset * self._rate)
        for number in range(max(0, first, self._left_out), len(self._files)):
            with open_picture(StillFile(self._files[number])) as opened:
                picture = np.array(upright(opened))
            yield Decoded(number - first, _frame(picture), 1)


class AnimationDecoder(Decoder):
    """Decodes an animated WebP.

    Raises:
        InputError: it is damaged.
    """

    def __init__(self, source: AnimationFile) -> None:
        self.source = source
        with open_picture(source) as opened:
            self.facts = ClipFacts(aspect=Fraction(1), frames=getattr(opened, "n_frames", 1))

    @property
    def base(self) -> Fraction:
        """A millisecond."""
        return _MILLISECOND

    def items(self) -> Iterator[Decoded | TrackPacket]:
        """Yield the pictures."""
        begin = time = -round(self.offset / _MILLISECOND)
        try:
            for picture, milliseconds in animation(self.source):
                shown = milliseconds if milliseconds > _LEAST else _USUAL
                yield Decoded(time, _frame(picture), shown)
                time += shown
        except InputError:
            if time == begin:
                raise
            _log.info(
                "%s cannot be read beyond %.1f s: what is before that is taken",
                self.source.name, (time - begin) / 1000,
            )  # fmt: skip


def _frame(picture: npt.NDArray[np.uint8]) -> av.VideoFrame:
    """Return a picture, uint8 ``[H, W, 3 or 4]``, as sRGB."""
    pixels = "rgba" if picture.shape[2] == 4 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=pixels)
    frame.color_range, frame.colorspace = 2, Colour.RGB
    frame.color_primaries, frame.color_trc = 1, 13
    return frame
