"""Numbers in file names: ``frames/%05d.png``."""

import re

# A letter after it makes of "50%done.jpg" what it says.
_FIELD = re.compile(r"%0(\d{1,2})d|%d(?![A-Za-z])")


def is_pattern(name: str) -> bool:
    """Whether a name has ``%d`` or ``%0Nd``, exactly once; any other ``%`` is itself."""
    return len(_FIELD.findall(name)) == 1


def with_number(pattern: str, number: int) -> str:
    """Return the name of a number."""
    return _FIELD.sub(lambda field: f"{number:0{int(field[1] or 0)}d}", pattern)


def names_of(pattern: str) -> re.Pattern[str]:
    """Return what matches the names of a pattern."""
    (field,) = _FIELD.finditer(pattern)
    before, after = pattern[: field.start()], pattern[field.end() :]
    digits = max(1, int(field[1] or 1))
    return re.compile(rf"{re.escape(before)}\d{{{digits},}}{re.escape(after)}")


def by_number(name: str) -> list[tuple[int, str]]:
    """Return a key by which numbers in names are sorted by their size."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), part) if k % 2 else (0, part) for k, part in enumerate(parts)]
