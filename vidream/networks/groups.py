"""Groups of classes: by a name of ours, as ranges of ImageNet's numbers, or class by class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from vidream.errors import NetworkError, unknown
from vidream.networks.head import find_class
from vidream.networks.spec import NetworkSpec

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
"""What each named group comes to: see :func:`find_classes`."""

_IMAGENET = 1000


def find_classes(spec: NetworkSpec, text: str) -> tuple[int, ...]:
    """Return the indices of the classes that a group comes to, in rising order.

    Args:
        spec: a classifier.
        text: a name of :data:`GROUPS`, a class as :func:`~vidream.networks.find_class` takes it, a
            range of numbers as in ``281-285``; or several of these, separated by commas.

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
        said = unknown("class", part, near, groups) if near else f"{error} {groups}"
        raise NetworkError(said) from error
