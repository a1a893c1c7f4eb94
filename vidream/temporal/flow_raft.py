"""RAFT (Teed and Deng 2020), the small one, from torchvision. Imports torchvision when asked."""

import importlib
import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.core.errors import WeightsError
from vidream.core.frames import Picture
from vidream.core.images import Size, resize, to_tensor
from vidream.networks.state import load_state
from vidream.networks.weights import find, torchvision_file
from vidream.temporal.flow import FlowArray


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """Sizes that the network is run at."""

    stride: int = 8  # pixels to a cell of its grid
    min_side: int = 128  # in pixels; shorter sides leave its coarsest correlations empty
    max_scale: float = 8.0  # of small pictures: what is under 16 pixels tells too little
    max_pixels: int = 1 << 20  # every cell is compared with every other, at this many in 2 GB

    def working_size(self, height: int, width: int) -> Size:
        """Return the size to estimate at: the picture's, unless it is too small or too large."""
        scale = min(max(1.0, self.min_side / min(height, width)), self.max_scale)
        scale = min(scale, math.sqrt(self.max_pixels / (height * width)))
        return max(1, round(height * scale)), max(1, round(width * scale))


SETTINGS = RaftSettings()


class Raft:
    """Recurrent all-pairs field transforms (RAFT): a network, slow without a GPU."""

    def __init__(self, device: torch.device, settings: RaftSettings = SETTINGS) -> None:
        """Load the network onto the device; its weights are downloaded the first time.

        Raises:
            WeightsError: they cannot be downloaded, or are damaged.
        """
        models = importlib.import_module("torchvision.models.optical_flow")
        file = torchvision_file(models.Raft_Small_Weights.DEFAULT)
        file = replace(file, otherwise="set `flow` to one without weights, such as dis")
        located = find(file)
        state = load_state(located.path, verified=located.verified)
        with torch.device("meta"):  # draws no random numbers
            hollow = models.raft_small(weights=None)
        self._network = hollow.to_empty(device=device).eval()
        self._device, self._settings = device, settings
        try:
            self._network.load_state_dict(state)
        except RuntimeError:
            raise WeightsError(
                f"{located.path} is not a weights file of raft_small; delete it to get it anew, "
                f"or {file.otherwise}"
            ) from None

    @torch.no_grad()
    def __call__(self, picture: Picture, other: Picture) -> FlowArray:
        """Return the flow; see :class:`~vidream.temporal.flow.FlowEstimator`."""
        height, width = picture.shape[:2]
        size = self._settings.working_size(height, width)
        first, second = (
            _prepared(to_tensor(p, self._device), size, self._settings) for p in (picture, other)
        )
        flow: Tensor = self._network(first, second)[-1][..., : size[0], : size[1]]
        flow = torch.nan_to_num(flow, nan=0.0, posinf=0.0, neginf=0.0)
        if size != (height, width):
            per_pixel = flow.new_tensor([width / size[1], height / size[0]]).view(1, 2, 1, 1)
            flow = resize(flow, (height, width)) * per_pixel
        return flow[0].permute(1, 2, 0).contiguous().cpu().numpy()


def _prepared(image: Tensor, size: Size, settings: RaftSettings) -> Tensor:
    """Return the image at a size in [-1, 1], its border repeated to sides the network takes."""
    image = resize(image, size) * 2 - 1
    least, stride = settings.min_side, settings.stride
    down, right = (max(least, math.ceil(side / stride) * stride) - side for side in size)
    return F.pad(image, (0, right, 0, down), mode="replicate")
