"""RAFT (Teed and Deng 2020), the small one, from torchvision. Imports torchvision when asked."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vidream.errors import WeightsError
from vidream.flow.estimator import Field
from vidream.frames import Picture, to_tensor
from vidream.images import Size, resize
from vidream.weights import find, load_state, torchvision_file

_STEP = 8  # pixels to a cell of its grid
_LEAST = 128  # pixels; shorter sides leave its coarsest correlations empty
_ENLARGED = 8.0  # times at most: what is under 16 pixels tells too little for more
_MOST = 1 << 20  # pixels; every cell is compared with every other: at this many in 2 GB


class Raft:
    """Recurrent all-pairs field transforms: a network, slow without a GPU."""

    def __init__(self, device: torch.device) -> None:
        """Load the network onto the device; its weights are downloaded the first time.

        Raises:
            WeightsError: they cannot be had, or are damaged.
        """
        models = importlib.import_module("torchvision.models.optical_flow")
        file = torchvision_file(models.Raft_Small_Weights.DEFAULT)
        file = replace(file, otherwise="choose a flow without weights, as dis")
        located = find(file)
        state = load_state(located.path, verified=located.verified)
        with torch.device("meta"):  # draws no random numbers
            hollow = models.raft_small(weights=None)
        self._network = hollow.to_empty(device=device).eval()
        self._device = device
        try:
            self._network.load_state_dict(state)
        except RuntimeError:
            raise WeightsError(
                f"{located.path} is not a weights file of raft_small; delete it to get it anew, "
                f"or {file.otherwise}"
            ) from None

    @torch.no_grad()
    def __call__(self, picture: Picture, other: Picture) -> Field:
        """Estimate; see :class:`~vidream.flow.FlowEstimator`."""
        height, width = picture.shape[:2]
        size = _working_size(height, width)
        first, second = (_prepared(to_tensor(p, self._device), size) for p in (picture, other))
        flow: Tensor = self._network(first, second)[-1][..., : size[0], : size[1]]
        flow = torch.nan_to_num(flow, nan=0.0, posinf=0.0, neginf=0.0)
        if size != (height, width):
            per_pixel = flow.new_tensor([width / size[1], height / size[0]]).view(1, 2, 1, 1)
            flow = resize(flow, (height, width)) * per_pixel
        return flow[0].permute(1, 2, 0).contiguous().cpu().numpy()


def _working_size(height: int, width: int) -> Size:
    """Give the size to estimate at: the picture's own, unless that is too small or too large."""
    scale = min(max(1.0, _LEAST / min(height, width)), _ENLARGED)
    scale = min(scale, math.sqrt(_MOST / (height * width)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _prepared(image: Tensor, size: Size) -> Tensor:
    """Resample and map to [-1, 1]; repeat the border up to sides that the network can take."""
    image = resize(image, size) * 2 - 1
    down, right = (max(_LEAST, math.ceil(side / _STEP) * _STEP) - side for side in size)
    return F.pad(image, (0, right, 0, down), mode="replicate")
