"""FFmpeg's filter graphs with one input, one output, and a chain of filters between."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av

MILLISECOND = Fraction(1, 1000)


def input_of(frame: av.VideoFrame, base: Fraction = MILLISECOND) -> str:
    """Return the arguments of a ``buffer`` that takes frames like this one."""
    return describe_input((frame.width, frame.height), frame.format.name, base)


def describe_input(size: tuple[int, int], pixels: str, base: Fraction) -> str:
    """Return the arguments of a ``buffer`` of a size, pixel format and time base."""
    return f"video_size={size[0]}x{size[1]}:pix_fmt={pixels}:time_base={base}:pixel_aspect=1/1"


def filter_graph(source: str, steps: Iterable[tuple[str, str]]) -> av.filter.Graph:
    """Build a graph of filters, each a name and its arguments."""
    graph = av.filter.Graph()
    nodes = [graph.add(name, arguments) for name, arguments in (("buffer", source), *steps)]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph


def pull(graph: av.filter.Graph, *, end: bool = False) -> Iterator[av.VideoFrame]:
    """Yield the frames that a graph has ready; with ``end``, all that it has buffered."""
    if end:
        graph.vpush(None)
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame
