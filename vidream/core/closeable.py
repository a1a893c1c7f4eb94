"""Context managers that close."""

from typing import Self


class Closeable:
    """A context manager that closes on leaving."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what is held."""
        raise NotImplementedError
