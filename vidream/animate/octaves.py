"""A dream growing octave by octave."""

from collections.abc import Callable, Iterator

from torch import Tensor

from vidream.core.errors import NetworkError
from vidream.core.images import Size, resize, size_of
from vidream.core.settings import AnimationSettings
from vidream.dream.dreamer import Dreamer
from vidream.dream.views import draw_views


def grow(
    still: Tensor,
    dreamer: Dreamer,
    settings: AnimationSettings,
    sizes: tuple[Size, ...],
    on_step: Callable[[int, int], None],
) -> Iterator[Tensor]:
    """Dream a still octave by octave, each from a blend of the octave before and the still.

    Unlike in :meth:`Dreamer.dream` the dream itself is resampled, also to sizes beyond the still's
    own, as in TensorFlow's DeepDream tutorial.

    Args:
        still: float32 ``[1, 3, H, W]`` RGB in [0, 1].
        dreamer: its settings have the steps per octave.
        settings: of the animation.
        sizes: of the octaves.
        on_step: called with the pixels that have taken a gradient step so far, and in all.

    Yields:
        Float32 ``[1, 3, H, W]`` in [0, 1], of the still's size.

    Raises:
        NetworkError: the smallest octave is too small for the network.
    """
    still = still.to(dreamer.device)
    full = size_of(still)
    least = dreamer.network.minimum_side
    if min(sizes[0]) < least:
        raise NetworkError(
            f"the smallest octave, {sizes[0][1]}×{sizes[0][0]}, is too small for the network, "
            f"which takes {least} pixels a side: use a larger picture, or a larger `first_octave`"
        )
    steps, every = dreamer.settings.steps, settings.every
    done, total = 0, steps * sum(height * width for height, width in sizes)
    if every is not None:
        yield still
    dream = None
    for octave, size in enumerate(sizes):
        base = resize(still, size)
        dream = base if dream is None else base.lerp(resize(dream, size), settings.blend)
        for step, view in enumerate(draw_views(dreamer.settings, octave, steps), 1):
            dream = dreamer.ascend(dream, [view], base)
            done += size[0] * size[1]
            on_step(done, total)
            if step == steps or (every is not None and step % every == 0):
                yield resize(dream, full)
