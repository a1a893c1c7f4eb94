"""The shape of the package: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import vidream

PACKAGE = Path(vidream.__file__).parent

# Each may import those before it on this list, and nothing after it.
ORDER = [
    "errors", "allocator", "queues", "settings", "frames", "hdr", "media", "drafts", "stills",
    "codecs",
    "reader", "inscriptions", "sound", "soundtrack", "timeline",
    "likeness", "objectives", "octaves", "styles", "filters", "colour",
    "memory", "tiles", "strength", "balance", "windows", "download", "weights", "flow", "warp",
    "camera", "transforms", "scenes", "motion", "networks", "survey", "aims", "dreamer",
    "deepening", "presets", "temporal", "effects", "processors", "noise", "zoom", "films",
    "record", "work", "writer", "recorder", "segments", "joining", "companion", "masks", "finish",
    "recording", "guides", "loop", "pipeline", "measure", "plot", "cli", "__main__",
]  # fmt: skip


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "__init__.py":
            yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def test_dependencies_point_one_way():
    for name, path in modules():
        assert name in ORDER, f"{name} has no place in the order"
        for module in imports(path):
            if module.startswith("vidream."):
                other = module.split(".")[1]
                assert ORDER.index(other) <= ORDER.index(name), f"{name} imports {other}"


def test_heavy_packages_are_imported_in_one_place():
    homes = {
        "av": {"joining", "reader", "sound", "writer"},
        "cv2": {"flow"},
        "PIL": {"stills"},
        "click": {"cli"},
        "tqdm": {"cli"},
        "matplotlib": {"plot"},
        "scenedetect": {"scenes"},
    }
    users = {package: set() for package in homes}
    for name, path in modules():
        for module in imports(path):
            users.get(module.split(".")[0], set()).add(name)
    assert users == homes


def test_only_the_command_prints():
    for name, path in modules():
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        prints = any(isinstance(f, ast.Name) and f.id == "print" for f in calls)
        assert not prints or name == "cli"


def test_what_is_exported_is_there():
    assert all(hasattr(vidream, name) for name in vidream.__all__)
    assert vidream.__all__ == sorted(vidream.__all__)
