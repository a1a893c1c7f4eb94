"""What a caller asks of workers, as JSON values: workers of another version understand it too."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from vidream.core.errors import InputError
from vidream.core.settings import Settings
from vidream.media.places import FileSource, FileTarget
from vidream.render.division import Division
from vidream.render.fingerprint import UNREADABLE, identity


@dataclass(frozen=True, slots=True)
class Order:
    """A clip whose parts are to be rendered.

    Args:
        id: of the render.
        source: path of the clip.
        target: name of the target, of which only the kind of file counts.
        settings: JSON values by name; paths are absolute.
        files: what is in each file that is named, by its path; see :func:`identity`.
        memory: bytes that the dream may take; None before that is known.
        shared: a folder that workers and caller see, through which segments go; None if they are
            sent.
    """

    id: str
    source: str
    target: str
    settings: dict[str, Any] = field(repr=False)
    files: dict[str, str] = field(repr=False)
    memory: int | None = None
    shared: str | None = None

    @classmethod
    def of(cls, id: str, division: Division, shared: Path | None) -> Self:
        """Return the order of a division; raises InputError if a file cannot be read."""
        job, files = division.job, {}

        def noted(path: str) -> str:
            absolute = str(Path(path).expanduser().absolute())
            files[absolute] = identity(absolute)
            if files[absolute] == UNREADABLE:
                raise InputError(f"{path} cannot be read: check the name")
            return absolute

        assert isinstance(job.source, FileSource)
        assert isinstance(job.target, FileTarget)
        settings, source = job.settings.to_dict(path=noted), noted(str(job.source.path))
        where = None if shared is None else str(shared.absolute())
        target = job.target.path.name
        return cls(id, source, target, settings, files, shared=where)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, order: dict[str, Any]) -> Self:
        """Return the order of :meth:`to_json`'s result."""
        return cls(**order)

    def settings_with(self, paths: dict[str, str]) -> Settings:
        """Return the settings, with the files where they are on this machine."""
        given = Settings.from_dict(self.settings)
        return Settings.from_dict(given.to_dict(path=lambda path: paths.get(path, path)))
