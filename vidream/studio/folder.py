"""The folder that a studio may read and write, and nothing else."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from vidream.core.errors import InputError, OutputError, describe_error
from vidream.media.kinds import is_picture_name
from vidream.media.pictures import open_picture
from vidream.media.places import parse_source
from vidream.media.reader import open_reader

OWN = ".vidream-studio"
"""What the studio keeps for itself, within its folder."""

_MOST_CLIPS = 2000  # that are listed
_DEEPEST = 4  # folders within folders that are looked into
_SUFFIXES = frozenset(
    (
        *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts", ".mts", ".mpg", ".mpeg"),
        *(".wmv", ".flv", ".ogv", ".gif", ".3gp", ".y4m"),
    )
)


class Folder:
    """A folder, out of which no path leads.

    Args:
        root: an existing folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve(strict=True)

    def inside(self, name: str) -> Path:
        """Return the path of a name relative to the folder, links followed.

        Raises:
            InputError: it leads out of the folder, or into what the studio keeps for itself.
        """
        if not name or "\0" in name:
            raise InputError("a name of a file is needed")
        try:
            path = (self.root / name).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{name} cannot be opened") from error
        if not path.is_relative_to(self.root) or OWN in path.relative_to(self.root).parts:
            raise InputError(f"{name} is outside of the folder of this studio")
        return path

    def name_of(self, path: Path) -> str:
        """Return the name of a path, relative to the folder."""
        return path.relative_to(self.root).as_posix()

    def setting(self, value: str) -> str:
        """Return the path of a file that a setting names; raises as :meth:`inside`."""
        return str(self.inside(value))

    def clips(self) -> list[str]:
        """Return the names of videos and pictures, those of the folder itself first."""
        return sorted(self._clips(self.root, 0), key=lambda name: (name.count("/"), name.lower()))

    def _clips(self, folder: Path, depth: int) -> Iterator[str]:
        try:
            entries = sorted(folder.iterdir())[:_MOST_CLIPS]
        except OSError:
            return
        for path in entries:
            if path.name.startswith("."):
                continue
            try:
                if path.is_dir() and not path.is_symlink() and depth < _DEEPEST:
                    yield from self._clips(path, depth + 1)
                elif path.is_file() and (path.suffix.lower() in _SUFFIXES or is_picture_name(path)):
                    yield self.name_of(self.inside(self.name_of(path)))
            except (InputError, OSError, ValueError):  # a link that leads out
                continue

    def own(self) -> Path:
        """Return the folder for what the studio keeps; made if needed.

        Raises:
            OutputError: it cannot be made.
        """
        path = self.root / OWN
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {path}: {describe_error(error)}") from error
        if path.is_symlink():
            raise OutputError(f"{path} is a link: remove it")
        return path

    def free_name(self, name: str, taken: frozenset[str] = frozenset()) -> str:
        """Return a name of no file yet: itself, or with a number before its suffix."""
        path = self.inside(name)
        number = 2
        made = path
        while made.exists() or self.name_of(made) in taken:
            made = path.with_name(f"{path.stem}-{number}{path.suffix}")
            number += 1
        return self.name_of(made)

    async def upload(self, name: str, chunks: AsyncIterator[bytes], most: int) -> str:
        """Write a clip that is sent into the folder, and return its name.

        Raises:
            OutputError: it is larger than ``most`` bytes, or cannot be written; nothing is left.
        """
        target = self.free_name(safe_name(name))
        draft = self.own() / f"{Path(target).name}.part"
        size = 0
        try:
            with draft.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise OutputError(too_large(most))
                    file.write(chunk)
            path = self.inside(self.free_name(target))
            draft.rename(path)
        except OSError as error:
            raise OutputError(f"cannot write {target}: {describe_error(error)}") from error
        finally:
            draft.unlink(missing_ok=True)
        return self.name_of(path)

    def check(self, name: str) -> None:
        """Open a clip that was sent; remove it if it is none.

        Raises:
            InputError: it is no clip.
        """
        path = self.inside(name)
        try:
            source = parse_source(str(path))
            if source.is_picture:
                with open_picture(source) as opened:
                    opened.load()
            else:
                open_reader(source).close()
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def too_large(most: int) -> str:
    """Return why an upload is refused."""
    return (
        f"that is more than the {most / 2**20:.0f} MiB of an upload: copy the file into the "
        "folder of the studio, or start it with a larger --max-upload"
    )


def safe_name(name: str) -> str:
    """Return the name of a file as it is written: without folders, and nothing odd."""
    base = re.split(r"[/\\]", name)[-1]
    cleaned = re.sub(r"[^\w.() -]", "_", base).strip(" .")[-120:]
    return cleaned or "clip"
