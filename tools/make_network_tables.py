"""Makes the tables of networks in vidream/networks/data, of torchvision and of our own networks.

They are there so that a list of networks, layers or classes needs no PyTorch. Run it after an
upgrade of torchvision, or when a built-in network changes; tests/test_tables.py compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torch import nn
from torchvision import models

from vidream.networks import builtin, graph
from vidream.networks.network import layer_names
from vidream.networks.spec import NetworkSpec
from vidream.networks.torchvision_networks import ONE_SIZE, builder

DATA = Path(__file__).parents[1] / "vidream" / "networks" / "data"


def torchvision() -> str:
    rows = {}
    for name in models.list_models(module=models):
        if not name.startswith(ONE_SIZE):
            weights = models.get_model_weights(name).DEFAULT
            transforms = weights.transforms()
            rows[name] = {
                "file": weights.url.rpartition("/")[2],
                "weights": str(weights),
                "licence": weights.meta.get("license") or "BSD-3-Clause",
                "accuracy": round(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"], 1),
                "minimum_side": max(min(weights.meta["min_size"]), 1),
                "mean": transforms.mean,
                "std": transforms.std,
                "layer": default_layer(name, max(*weights.meta["min_size"], 224)),
            }
    return lines(rows)


def default_layer(name: str, side: int) -> str:
    """Choose three quarters of the depth: among the blocks, or the ReLUs if there are none."""
    traced = graph.trace(graph.build_on_meta(builder(name)))
    traced.outputs.pop("", None)
    modules = dict(traced.model.named_modules())
    shapes = graph.shapes(traced, side)
    main = [n for n in graph.main_layers(traced) if len(shapes[n]) == 4 and shapes[n][2] > 1]
    blocks = [n for n in main if n in modules and is_block(modules[n])]
    relus = [n for n in main if isinstance(modules.get(n), nn.ReLU)]
    candidates = blocks or relus or main
    return candidates[round(0.75 * (len(candidates) - 1))]


def is_block(module: nn.Module) -> bool:
    return type(module) is not nn.Sequential and any(True for _ in module.children())


def layers() -> str:
    specs = [spec for spec in vars(builtin).values() if isinstance(spec, NetworkSpec)]
    networks = (
        f" {json.dumps(spec.name)}: [\n  "
        + ",\n  ".join(
            json.dumps([layer.name, layer.aliases, layer.channels, layer.main])
            for layer in layer_names(spec.name)
        )
        + "\n ]"
        for spec in specs
    )
    return "{\n" + ",\n".join(networks) + "\n}\n"


def classes() -> str:
    return "\n".join(models.ResNet50_Weights.DEFAULT.meta["categories"]) + "\n"


def lines(rows: dict[str, Any]) -> str:
    """Return a JSON object with one line for each row."""
    members = (f" {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    return "{\n" + ",\n".join(members) + "\n}\n"


TABLES = {"torchvision.json": torchvision, "layers.json": layers, "imagenet_classes.txt": classes}


def main(folder: Path = DATA) -> None:
    for name, make in TABLES.items():
        (folder / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
