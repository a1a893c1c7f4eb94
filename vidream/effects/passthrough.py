"""The smallest effect, an example for one's own: frames pass through unchanged."""

from torch import Tensor

from vidream.core.effect import Context, InitImage, Resources, State
from vidream.core.settings import Settings


class PassThrough:
    """Returns each frame as it came."""

    recurrent = False
    over_time: frozenset[str] = frozenset()

    def __init__(self, settings: Settings, resources: Resources) -> None:
        """Take what every effect is made with."""

    def step(
        self,
        init: InitImage,  # noqa: ARG002
        frame: Tensor,
        context: Context,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> tuple[Tensor, State]:
        """Return the frame."""
        return frame, {}
