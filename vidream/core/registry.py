"""Plugins: entry points, loaded by name. Built-in ones are registered in pyproject.toml."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vidream.core.errors import SettingsError, unknown


@dataclass(frozen=True, slots=True)
class Registry:
    """The plugins of one kind ("effect"). A built-in one wins over another of its name."""

    kind: str

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"vidream.{self.kind}s"

    def names(self) -> list[str]:
        """Return all names, the built-in ones first."""
        return list(self._entries())

    def load(self, name: str) -> Any:
        """Import a plugin.

        Raises:
            SettingsError: there is none of that name, or importing it fails.
        """
        entries = self._entries()
        if name not in entries:
            hint = f"The {self.kind}s are {', '.join(entries)}."
            raise SettingsError(unknown(self.kind, name, entries, hint))
        try:
            return entries[name].load()
        except Exception as error:  # whatever foreign code raises when it is imported
            raise SettingsError(f"the {self.kind} {name!r} cannot be loaded: {error}") from error

    def _entries(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for entry in sorted(entry_points(group=self.group), key=_is_third_party):
            found.setdefault(entry.name, entry)
        return found


def _is_third_party(entry: EntryPoint) -> bool:
    return not entry.value.startswith("vidream.")


EFFECTS = Registry("effect")
FLOWS = Registry("flow")
NETWORKS = Registry("network")
