"""How near the preset ``painted`` brings a photograph to the style of another.

usage: python benchmarks/gram.py PHOTOGRAPH STYLE [--max-side 384]

For each layer of the style: the squared distance of the Gram matrices over the square of the
style's own, at the photograph and at its painting; and how much less that is in all.
"""

from __future__ import annotations

import argparse

import torch
from tables import Row, machine, show

from vidream import Dreamer
from vidream.core.images import to_tensor
from vidream.core.presets import preset_settings
from vidream.core.settings import ReadSettings
from vidream.media.stills import read_still


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photograph")
    parser.add_argument("style")
    parser.add_argument("--max-side", type=int, default=384)
    options = parser.parse_args()
    settings = preset_settings("painted", styles=(options.style,))
    dreamer = Dreamer(settings.dream, style=settings.style)
    picture = read_still(options.photograph, ReadSettings(max_side=options.max_side)).image
    photograph = to_tensor(picture, dreamer.device)
    before, after = (losses(dreamer, x) for x in (photograph, dreamer.dream(photograph)))
    rows: list[Row] = [
        {"layer": layer, "before": round(before[layer], 3), "after": round(after[layer], 3)}
        for layer in before
    ]
    print(machine())
    show("Distance of Gram matrices", rows)
    print(f"all together: {100 * (1 - sum(after.values()) / sum(before.values())):.1f} % less")


def losses(dreamer: Dreamer, image: torch.Tensor) -> dict[str, float]:
    with torch.no_grad():
        activations = dreamer.network.activations(image)
    objective, found = dreamer.objective_function, {}
    sums = objective.style_sums(activations)
    for loss, summed in zip(objective.style_losses, sums, strict=True):
        cells = activations[loss.term.layer][0, 0].numel()
        found[loss.term.layer] = float(loss.losses(summed, cells))
    return found


if __name__ == "__main__":
    main()
