"""The shape of the package: who may import whom."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import vidream

PACKAGE = Path(vidream.__file__).parent

# Each line may import what stands on the lines under it, and nothing beside it or above.
PICTURE = """
    __main__
    cli
    pipeline    measure
    loop
    writer
    work
    record
    films       guides
    processors
    effects     finish
    dreamer     timeline    companion   inscriptions
    networks    temporal    sound       stills
    flow        reader      drafts
    weights     media       presets     hdr
    images      settings    frames      queues
    errors
"""


def modules():
    """Give each module: its name inside the package, and where it is."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "__init__.py":
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path


MODULES = dict(modules())


def imports(path: Path) -> set[str]:
    """Give what a module imports: modules, or names in them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    """Give the modules of the package that a module imports."""
    names = {name.removeprefix("vidream.") for name in imports(path) if "vidream." in name}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names} - {""}


def test_dependencies_point_one_way():
    lines = [line.split() for line in PICTURE.splitlines()]
    height = {name: -down for down, line in enumerate(lines) for name in line}
    for name, path in MODULES.items():
        top = name.partition(".")[0]
        assert top in height, f"{top} has no place in the picture"
        for other in own_imports(path):
            below = other.partition(".")[0]
            assert below == top or height[below] < height[top], f"{name} imports {other}"


def test_no_module_depends_on_itself_by_way_of_others():
    TopologicalSorter({name: own_imports(path) for name, path in MODULES.items()}).prepare()


def test_heavy_packages_are_imported_in_one_place():
    homes = {
        "av": {"reader", "sound.sound", "writer.joining", "writer.writer"},
        "cv2": {"flow"},
        "PIL": {"stills"},
        "click": {"cli"},
        "tqdm": {"cli"},
        "matplotlib": {"measure.plot"},
        "scenedetect": {"temporal.scenes"},
    }
    users = {package: set() for package in homes}
    for name, path in MODULES.items():
        for package in {module.partition(".")[0] for module in imports(path)} & set(homes):
            users[package].add(name if name in homes[package] else name.partition(".")[0])
    assert users == homes


def test_only_the_command_prints():
    for name, path in MODULES.items():
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        prints = any(isinstance(f, ast.Name) and f.id == "print" for f in calls)
        assert not prints or name.startswith("cli.")


def test_what_is_exported_is_there():
    assert all(hasattr(vidream, name) for name in vidream.__all__)
    assert vidream.__all__ == sorted(vidream.__all__)
