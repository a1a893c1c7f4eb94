"""Classes of a classifier by name, number and group. Imports no PyTorch."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from vidream.core.errors import NetworkError, unknown
from vidream.core.settings import ClassTerm, LayerTerm
from vidream.networks.spec import NetworkSpec

CLASSES = "classes"
"""Name of the layer whose channels are the classes: see :mod:`.class_logits`."""

# ImageNet's 1000 classes of 2012, whose order groups animals and plants but few other things.
GROUPS: Mapping[str, str] = {
    "animals": "0-397",
    "fish": "0-6, 389-397",
    "birds": "7-24, 80-100, 127-146",
    "amphibians": "25-32",
    "reptiles": "33-68",
    "snakes": "52-68",
    "spiders": "72-77",
    "insects": "300-326",
    "butterflies": "321-326",
    "mammals": "101-106, 147-299, 330-388",
    "dogs": "151-268",
    "cats": "281-293",
    "bears": "294-297",
    "monkeys": "365-384",
    "flowers": "984-986",
    "fruit": "948-957",
    "mushrooms": "947, 991-997",
    "buildings": "barn, bell cote, boathouse, castle, church, cinema, cliff dwelling, dome, "
    "greenhouse, library, monastery, mosque, palace, planetarium, prison, restaurant, stupa, "
    "triumphal arch, water tower, yurt, beacon",
    "landscapes": "970, 972-980",
}
"""The classes of each named group, as :func:`find_classes` takes them."""

_IMAGENET = 1000


def known_classes(spec: NetworkSpec) -> Sequence[str]:
    """Return the class names of a network; a NetworkError if it has none."""
    names = spec.classes()
    if not names:
        raise NetworkError(
            f"{spec.name} knows no classes: its weights end before them; set `network` to one that "
            "does, as efficientnet_lite2 or resnet50"
        )
    return names


def class_terms(spec: NetworkSpec, classes: Sequence[ClassTerm]) -> tuple[LayerTerm, ...]:
    """Return the terms of an objective that maximizes the logits of classes."""
    return tuple(LayerTerm(CLASSES, term.weight, find_class(spec, term.name)) for term in classes)


def find_class(spec: NetworkSpec, name: str) -> int:
    """Return the index of a class by its number, or its name (in any case if unambiguous)."""
    names = known_classes(spec)
    if name.isdigit():
        if int(name) < len(names):
            return int(name)
        raise NetworkError(
            f"{spec.name} has no class {name}: choose one from 0 to {len(names) - 1}"
        )
    exact = [index for index, given in enumerate(names) if given == name]
    found = exact or [i for i, given in enumerate(names) if given.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        several = _disambiguated(names, found)
        raise NetworkError(f"{name!r} is several classes of {spec.name}: {several}")
    raise NetworkError(_unknown(spec, name, names))


def _unknown(spec: NetworkSpec, name: str, names: Sequence[str]) -> str:
    # Those that contain what was asked for before those that are spelled like it.
    containing = [given for given in names if name.lower() in given.lower()]
    parts = [given for given in names if set(name.lower().split()) & set(given.lower().split())]
    hint = f"See the list of classes of {spec.name}."
    if near := list(dict.fromkeys([*containing, *parts]))[:5]:
        return f"unknown class {name!r}; did you mean {' or '.join(near)}? {hint}"
    return unknown("class", name, names, hint)


def find_classes(spec: NetworkSpec, text: str) -> tuple[int, ...]:
    """Return the sorted indices of a group of classes.

    Args:
        spec: a classifier.
        text: comma-separated names of :data:`GROUPS`, classes, and ranges of numbers (``281-285``).

    Raises:
        NetworkError: the network has no such class, or no classes.
    """
    found: set[int] = set()
    for part in (part.strip() for part in text.split(",")):
        found |= _find(spec, part)
    return tuple(sorted(found))


def _find(spec: NetworkSpec, part: str) -> set[int]:
    if part.lower() in GROUPS and len(spec.classes()) == _IMAGENET:
        return set(find_classes(spec, GROUPS[part.lower()]))
    if match := re.fullmatch(r"(\d+)-(\d+)", part):
        first, last = (find_class(spec, number) for number in match.groups())
        if first <= last:
            return set(range(first, last + 1))
        raise NetworkError(f"{part!r} is no range of classes: write the lower number first")
    try:
        return {find_class(spec, part)}
    except NetworkError as error:
        if not str(error).startswith("unknown class"):
            raise
        groups = f"The groups are {', '.join(GROUPS)}."
        near = get_close_matches(part.lower(), GROUPS, cutoff=0.75)
        message = unknown("class", part, near, groups) if near else f"{error} {groups}"
        raise NetworkError(message) from error


def _disambiguated(names: Sequence[str], found: Sequence[int]) -> str:

    def one(index: int) -> str:
        beside = [names[k] for k in (index - 1, index + 1) if 0 <= k < len(names)]
        return f"{index} (beside {' and '.join(beside)})"

    return f"{', '.join(one(index) for index in found)}; give the number"
