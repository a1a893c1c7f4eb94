"""What the commands `dream`, `zoom` and `octaves` share."""

import contextlib
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from vidream.cli.config import given_preset
from vidream.cli.options import (
    LOGGING,
    LOOK,
    Option,
    in_words,
    options_of,
    preset_option,
)
from vidream.cli.targets import Plan, Task, plan_targets
from vidream.cli.terminal import (
    ProgressBar,
    Signals,
    Stopped,
    end_stopped,
    fail,
    handled_signals,
    messages,
    say,
)
from vidream.core.allocator import keep_freed_memory
from vidream.core.errors import SettingsError, VidreamError
from vidream.core.presets import DEFAULT, preset_settings
from vidream.core.reporting import CancelledError
from vidream.core.settings import Settings
from vidream.render.job import Job, default_preset, find_places
from vidream.render.record import is_made

_GROUPS = (*LOOK, "Over time", "Input")


def render_options(
    *,
    own: str | None = None,
    without: Collection[str] = (),
    but: Collection[str] = (),
    preset: str = DEFAULT,
) -> list[click.Parameter]:
    """Return the parameters of a command that renders.

    Args:
        own: group of the settings that only this command has.
        without: groups that it does not have.
        but: settings that it does not have.
        preset: its default.
    """
    groups = [group for group in _GROUPS if group not in without]
    return [
        click.Argument(["sources"], metavar="SOURCE...", nargs=-1, required=True),
        *(options_of(own, common=True) if own else ()),
        preset_option("Dream", f"What one sees, as in eyes. [default: {preset}]"),
        *(option for group in groups for option in options_of(group, but=but)),
        Option(
            ["-o", "--output"],
            metavar="TARGET",
            group="Output",
            help="File or folder to write. Unset: SOURCE.dream.* beside the source.",
        ),
        Option(
            ["--suffix"],
            metavar="SUFFIX",
            group="Output",
            common=False,
            help="Suffix of targets in a folder, or beside their sources.",
        ),
        *options_of("Output", but=but),
        *options_of("Device", but=but),
        Option(["--config"], metavar="FILE.toml", help="Read settings from a file."),
        *LOGGING,
    ]


@dataclass(frozen=True, slots=True)
class _Request:
    """What was typed."""

    preset: str | None  # None for the default
    values: Mapping[str, Any]  # settings that are given, by name
    moving: bool  # whether stills are animated
    quiet: bool
    verbose: bool

    def settings(self) -> Settings:
        """Return the settings as far as they depend on no source; raises SettingsError."""
        return preset_settings(self.preset or DEFAULT, **self.values)

    def job(self, task: Task) -> Job:
        """Return the job of a task, unchecked; raises VidreamError."""
        settings = self.settings()
        animated = self.moving or settings.animation.asked
        source, target = find_places(task.source, task.target, settings, animated=animated)
        if self.preset is None:
            settings = preset_settings(default_preset(source, target, self.values), **self.values)
        return Job(source, target, settings)


def render_command(animate: str | None, options: dict[str, Any]) -> None:
    """Render what the options of a command say; exits if that fails."""
    sources, output, suffix = (options.pop(name) for name in ("sources", "output", "suffix"))
    quiet, verbose = options.pop("quiet"), options.pop("verbose")
    config, preset = options.pop("config"), options.pop("preset")
    try:
        preset, values = given_preset(preset, config, options)
        # Keys of a zoom say how much.
        moved = any(term.setting in ("zoom", "rotate") for term in values.get("keys", ()))
        if animate is not None and not moved:
            values["animate"] = animate
        request = _Request(preset, values, animate is not None, quiet, verbose)
        moving = animate is not None or request.settings().animation.asked
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    plan = plan_targets(sources, output, suffix, moving=moving)
    try:
        with handled_signals() as signals:
            render = _render_batch if plan.is_batch else _render_one
            render(plan, request, signals)
    except KeyboardInterrupt as stop:  # between two runs
        end_stopped("stopped", stop)


def _render_one(plan: Plan, request: _Request, signals: Signals) -> None:
    try:
        job = request.job(plan.tasks[0])
        job.check()
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    except VidreamError as error:
        fail(error)
    try:
        _run(job, request, signals)
    except VidreamError as error:
        fail(error)


def _render_batch(plan: Plan, request: _Request, signals: Signals) -> None:
    """Render several sources; targets that are up to date are skipped, failures reported."""
    with _folder(plan.folder) if plan.folder else contextlib.nullcontext():
        failed = [task for task in plan.tasks if not _is_done(task, request, signals)]
    if failed:
        names = ", ".join(task.source for task in failed)
        say(f"{len(failed)} of {len(plan.tasks)} failed: {names}")
        sys.exit(1)


def _is_done(task: Task, request: _Request, signals: Signals) -> bool:
    """Render one of several, unless its target is up to date; return whether that succeeded."""
    inform: Callable[[str], None] = (lambda _: None) if request.quiet else say
    try:
        job = request.job(task)
        if is_made(job.target, job.source, job.settings):
            inform(f"{task.target} is up to date")
            return True
        if not job.source.is_picture:  # an interrupted run is resumed
            job = replace(job, settings=job.settings.updated(resume=True))
        job.check()
        _run(job, request, signals)
    except VidreamError as error:
        text = in_words(error)
        say(text if task.source in text or task.target in text else f"{task.source}: {text}")
        return False
    inform(f"{task.target} is done")
    return True


def _run(job: Job, request: _Request, signals: Signals) -> None:
    """Run a job; exits if a signal asks for it. Raises VidreamError."""
    with (
        messages(quiet=request.quiet, verbose=request.verbose),
        ProgressBar(hidden=request.quiet, signals=signals) as progress,
    ):
        try:
            cancel = signals.new_run(waits=not job.source.is_live)
            keep_freed_memory()
            from vidream.render.run import run  # noqa: PLC0415  (it imports PyTorch)

            run(replace(job, reporter=progress, cancel=cancel))
        except CancelledError as error:
            progress.close()
            end_stopped(in_words(error), Stopped(signals.number or signal.SIGINT))
        except KeyboardInterrupt as stop:
            progress.close()
            end_stopped(progress.describe_stop(getattr(stop, "__notes__", [])), stop)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder, which is removed again if it stays empty."""
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        fail(VidreamError(f"output folder {path.parent} does not exist"))
    except OSError as error:
        fail(VidreamError(f"cannot make the folder {path}: {error.strerror}"))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            path.rmdir()
