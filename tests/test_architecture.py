"""The shape of the package: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import vidream

PACKAGE = Path(vidream.__file__).parent

# A module may import its own package, and packages of the layers under its own.
LAYERS = """
    cli
    studio
    cluster
    render
    effects animate measure
    dream temporal postprocess timeline
    networks media
    core
"""


def modules():
    """Give each module: its name inside the package, and where it is."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent != PACKAGE:
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


def test_imports_go_down_only():
    lines = [line.split() for line in LAYERS.split("\n") if line.strip()]
    height = {package: -down for down, line in enumerate(lines) for package in line}
    for name, path in MODULES.items():
        package = name.partition(".")[0]
        assert package in height, f"{package} has no layer"
        for other in own_imports(path):
            below = other.partition(".")[0]
            assert below == package or height[below] < height[package], f"{name} imports {other}"


def test_no_module_depends_on_itself_by_way_of_others():
    TopologicalSorter({name: own_imports(path) for name, path in MODULES.items()}).prepare()


def test_heavy_packages_are_imported_in_one_place():
    homes = {
        "av": {"media", "timeline.audio", "render.joining"},
        "cv2": {"temporal.flow_opencv"},
        "PIL": {"media.jpeg", "media.kinds", "media.pictures", "media.sheet", "media.stills"},
        "click": {"cli"},
        "tqdm": {"cli"},
        "matplotlib": {"measure.plot"},
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


def code_lines(function: ast.FunctionDef, lines: list[str]) -> int:
    """Return how many lines of a function are neither blank, comment nor docstring."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    docstring = range(first.lineno, first.end_lineno + 1) if has_docstring else ()
    return sum(
        bool(line.strip()) and not line.strip().startswith("#")
        for number, line in enumerate(lines[function.lineno - 1 : function.end_lineno])
        if number + function.lineno not in docstring
    )


def attributes(kind: ast.ClassDef) -> set[str]:
    """Return the names of the attributes that a class sets on itself."""
    targets = (
        target
        for node in ast.walk(kind)
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign))
    )
    return {
        node.attr
        for target in targets
        for node in ast.walk(target)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self"
    }


@pytest.mark.parametrize("name", MODULES)
def test_modules_functions_and_classes_are_small(name):
    lines = MODULES[name].read_text().splitlines()
    assert len(lines) <= 350
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.FunctionDef):
            assert code_lines(node, lines) <= 50, node.name
        elif isinstance(node, ast.ClassDef):
            assert len(attributes(node)) <= 12, node.name


# What every frame passes on its way, from the file to the file.
WAY = {
    "media.reader": ("__iter__",),
    "render.loop": ("render_frames", "step", "push", "track"),
    "temporal.tracking": ("track",),
    "temporal.propagation": ("propagate", "inpaint", "update_state"),
    "temporal.warp": None,
    "temporal.layers": None,
    "effects.dream": ("step",),
    "dream.dreamer": None,
    "dream.refinement": None,
    "dream.gradient": None,
    "dream.precondition": None,
    "dream.views": None,
    "postprocess.postprocess": ("__call__",),
    "render.segment_sink": ("write",),
    "media.encoder": ("write", "write_encoded"),
}


@pytest.mark.parametrize("name", WAY)
def test_functions_on_a_frames_way_take_few_parameters(name):
    functions = [
        node
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.FunctionDef)
        if (node.name in WAY[name] if WAY[name] else node.name != "__init__")
    ]
    assert functions
    for function in functions:
        given = [*function.args.args, *function.args.kwonlyargs]
        assert sum(argument.arg not in ("self", "cls") for argument in given) <= 5, function.name


def test_the_package_imports_no_pytorch_before_it_is_needed():
    quick = (
        "vidream, vidream.core.settings, vidream.core.presets, vidream.media.places, vidream.cli"
    )
    code = f"import sys, {quick}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
