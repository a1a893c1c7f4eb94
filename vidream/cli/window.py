"""A window that shows frames, by Tk, which comes with Python."""

import os
import sys
from typing import Any

from vidream.core.closeable import Closeable
from vidream.core.errors import OutputError
from vidream.core.frames import Picture
from vidream.media.sheet import scaled

_REMEDY = "write to a pipe instead: vidream live … -o - | ffplay -"


class Window(Closeable):
    """Shows pictures until the user closes it, or presses Escape or Q; F is full screen.

    Args:
        title: of the window.
        size: width and height in pixels.

    Raises:
        OutputError: there is no display, or no Tk.
    """

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        headless = sys.platform.startswith("linux") and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        )
        if headless:
            raise OutputError(f"there is no display to open a window on; {_REMEDY}")
        try:
            import tkinter  # noqa: PLC0415  (it is not everywhere)

            self._root: Any = tkinter.Tk()
        except Exception as error:  # ImportError, or TclError, whose module may be missing
            raise OutputError(f"no window can be opened ({error}); {_REMEDY}") from error
        self._tk = tkinter
        self.closed = False
        self._is_full = False
        root = self._root
        root.title(title)
        root.geometry(f"{size[0]}x{size[1]}")
        root.configure(background="black")
        root.protocol("WM_DELETE_WINDOW", self._leave)
        for key in ("<Escape>", "q"):
            root.bind(key, lambda _: self._leave())
        root.bind("f", lambda _: self._toggle())
        self._shown: Any = None
        self._label = tkinter.Label(root, background="black", borderwidth=0)
        self._label.pack(expand=True)

    def show(self, picture: Picture) -> None:
        """Show a picture, as large as fits, and handle what the user does."""
        if not self.closed:
            height, width = picture.shape[:2]
            room = max(16, self._root.winfo_width()), max(16, self._root.winfo_height())
            scale = min(room[0] / width, room[1] / height)
            fitted = scaled(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
            head = b"P6 %d %d 255\n" % (fitted.shape[1], fitted.shape[0])
            image = self._tk.PhotoImage(data=head + fitted.tobytes(), format="PPM")
            self._label.configure(image=image)
            self._shown = image  # Tk keeps no reference
            self._root.update()
        if self.closed:
            self.close()

    def close(self) -> None:
        """Close the window."""
        if self._root is not None:
            self._root.destroy()
            self._root = None
        self.closed = True

    def _leave(self) -> None:
        self.closed = True

    def _toggle(self) -> None:
        self._is_full = not self._is_full
        self._root.attributes("-fullscreen", self._is_full)
