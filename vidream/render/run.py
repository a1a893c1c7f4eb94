"""From a job to a finished target: source → session → sink."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial

from vidream.core.errors import InputError, VidreamError
from vidream.core.presets import preset_settings
from vidream.core.queues import BackgroundConsumer
from vidream.core.reporting import CancelledError, CancelToken, Reporter
from vidream.core.settings import Settings
from vidream.media.places import Place
from vidream.render.checkpoint import Checkpoint
from vidream.render.job import Job, default_preset, describe_stop, find_places
from vidream.render.loop import render_frames
from vidream.render.part_array import run_parts
from vidream.render.setup import Setup, open_setup


def dream_video(
    source: Place,
    target: Place,
    settings: Settings | None = None,
    *,
    reporter: Reporter | None = None,
    cancel: CancelToken | None = None,
) -> int:
    """Dream a video or a still into a file, or animate a still; see :func:`run`.

    Args:
        source: path of a video or a picture; ``"-"`` or a binary stream for Y4M or NUT;
            ``"noise:640x360"``; ``"camera:0"``.
        target: path whose suffix chooses the container; ``"-"`` or a binary stream likewise.
        settings: by default those of :func:`default_preset`.
        reporter: receives the progress.
        cancel: stops the render.
    """
    asked = settings is not None and settings.animation.asked
    read, written = find_places(source, target, settings or Settings(), animated=asked)
    settings = settings or preset_settings(default_preset(read, written, {}))
    return run(Job(read, written, settings, reporter or Reporter(), cancel or CancelToken()))


def run(job: Job) -> int:
    """Render a job, and return the number of frames in the target.

    The target appears when it is complete. Until then the frames of a video lie in the work folder
    ``.TARGET.vidream``, from which ``settings.write.resume`` resumes an interrupted run, to the
    same file. With ``settings.dream.split`` it is rendered piece by piece, see
    :func:`~vidream.render.part_array.run_parts`. Pipes and animations that are cancelled end after
    the last whole frame.

    Raises:
        CancelledError: the job was cancelled; the message says what is kept.
        VidreamError: any other failure; the message is one line for the user.
    """
    if job.settings.dream.split is not None and not job.source.is_picture:
        return run_parts(job)
    job.check()
    with ExitStack() as stack:
        setup = open_setup(job, stack)
        stack.enter_context(job.cancel.calling(setup.source.interrupt))
        last = setup.session.checkpoint.position
        try:
            for checkpoint in _checkpoints(job, setup):
                last = checkpoint
            if not last.frames:
                raise InputError("the source gives no frame to dream: is it whole?")
            setup.sink.finish(last)
        except KeyboardInterrupt as stop:
            for note in setup.sink.keep(last, preview=True):
                stop.add_note(note)
            raise
        except VidreamError as error:
            cancelled = job.cancel.cancelled
            kept = setup.sink.keep(last, preview=cancelled)
            if cancelled:
                raise CancelledError(describe_stop(last.frames, setup.expected, kept)) from error
            raise type(error)("; ".join((str(error), *kept))) from error
        except Exception:
            setup.sink.keep(last)
            raise
        return last.frames


def _checkpoints(job: Job, setup: Setup) -> Iterator[Checkpoint]:
    """Render and write the frames, in two threads; yield the checkpoint after each."""
    sink = setup.sink
    with BackgroundConsumer[Callable[[], None]](lambda write: write(), setup.depth) as output:
        try:
            with closing(render_frames(setup.source, setup.session, setup.depth)) as frames:
                for rendered in frames:
                    job.reporter.output(rendered.frame)
                    frame, begins = rendered.frame, rendered.begins_scene
                    wanted = sink.wants_checkpoint(frame.index, begins_scene=begins)
                    checkpoint = rendered.checkpoint if wanted else None
                    output.put(partial(sink.write, frame, checkpoint, begins_scene=begins))
                    yield rendered.checkpoint
                    job.reporter.frame(rendered.report)
                    job.cancel.check()
        except BaseException:
            output.close()  # the frames that wait are written
            raise
