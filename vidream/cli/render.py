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
from vidream.cli.division import OPTIONS as DIVIDING
from vidream.cli.division import Where
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
from vidream.core.reporting import CancelledError, CancelToken
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
    divides: bool = False,
) -> list[click.Parameter]:
    """Return the parameters of a command that renders.

    Args:
        own: group of the settings that only this command has.
        without: groups that it does not have.
        but: settings that it does not have.
        preset: its default.
        divides: whether scenes can be rendered on several machines.
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
        *(DIVIDING if divides else ()),
        Option(["--config"], metavar="FILE.toml", help="Read settings from a file."),
        *LOGGING,
    ]


@dataclass(frozen=True, slots=True)
class _Request:
    """What was typed."""

    preset: str | None  # None for the default
    values: Mapping[str, Any]  # settings that are given, by name
    moving: bool  # whether stills are animated
    where: Where  # scenes are rendered
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

    def checked_job(self, task: Task, *, batch: bool = False) -> Job:
        """Return the job of a task; raises VidreamError if it is impossible.

        In a ``batch`` an interrupted run is resumed.
        """
        job = self.job(task)
        if batch and not job.source.is_picture:
            job = replace(job, settings=job.settings.updated(resume=True))
        # An array of jobs looks for itself whether the target is there already.
        if self.where.share is None:
            job.check_divided() if self.where.divides else job.check()
        return job


def render_command(animate: str | None, options: dict[str, Any]) -> None:
    """Render what the options of a command say; exits if that fails."""
    sources, output, suffix = (options.pop(name) for name in ("sources", "output", "suffix"))
    quiet, verbose = options.pop("quiet"), options.pop("verbose")
    config, preset = options.pop("config"), options.pop("preset")
    divided = {name: options.pop(name, None) for name in ("cluster", "shared", "part")}
    try:
        preset, values = given_preset(preset, config, options)
        # Keys of a zoom say how much.
        moved = any(term.setting in ("zoom", "rotate") for term in values.get("keys", ()))
        if animate is not None and not moved:
            values["animate"] = animate
        where = Where.of(**divided, device=str(values.get("device", "")))
        values |= where.settings
        request = _Request(preset, values, animate is not None, where, quiet, verbose)
        moving = animate is not None or request.settings().animation.asked
    except SettingsError as error:
        raise click.UsageError(in_words(error)) from error
    plan = plan_targets(sources, output, suffix, moving=moving)
    try:
        with handled_signals() as signals:
            if not plan.is_batch:
                _render_one(plan, request, signals)
            elif request.where.on_cluster:
                _render_on_cluster(plan, request, signals)
            else:
                _render_batch(plan, request, signals)
    except KeyboardInterrupt as stop:  # between two runs
        end_stopped("stopped", stop)


def _render_one(plan: Plan, request: _Request, signals: Signals) -> None:
    try:
        job = request.checked_job(plan.tasks[0])
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
    with _folder(plan.folder):
        failed = [task for task in plan.tasks if not _is_done(task, request, signals)]
    _end_batch(plan, failed)


def _end_batch(plan: Plan, failed: list[Task]) -> None:
    """Say what failed, and exit, if anything did."""
    if failed:
        names = ", ".join(task.source for task in failed)
        say(f"{len(failed)} of {len(plan.tasks)} failed: {names}")
        sys.exit(1)


def _is_done(task: Task, request: _Request, signals: Signals) -> bool:
    """Render one of several, unless its target is up to date; return whether that succeeded."""
    try:
        job = _job_to_do(task, request)
        if job is not None:
            _run(job, request, signals)
    except VidreamError as error:
        _say_failed(task, error)
        return False
    if job is not None:
        _inform(f"{task.target} is done", request)
    return True


def _job_to_do(task: Task, request: _Request) -> Job | None:
    """Return the job of one of several; None if its target is up to date."""
    job = request.job(task)
    if is_made(job.target, job.source, job.settings):
        _inform(f"{task.target} is up to date", request)
        return None
    return request.checked_job(task, batch=True)


def _say_failed(task: Task, error: VidreamError) -> None:
    text = in_words(error)
    say(text if task.source in text or task.target in text else f"{task.source}: {text}")


def _inform(text: str, request: _Request) -> None:
    if not request.quiet:
        say(text)


def _render_on_cluster(plan: Plan, request: _Request, signals: Signals) -> None:
    """Render several sources on the workers of a cluster, as :func:`_render_batch` does."""
    failed: list[Task] = []
    tasks = {task.target: task for task in plan.tasks}

    def jobs() -> Iterator[Job]:
        for task in plan.tasks:
            try:
                job = _job_to_do(task, request)
            except VidreamError as error:
                failed.append(task)
                _say_failed(task, error)
            else:
                if job is not None:
                    yield job

    def ended(job: Job, error: VidreamError | None) -> None:
        task = tasks[job.target.name]
        if error is None:
            _inform(f"{task.target} is done", request)
        else:
            failed.append(task)
            _say_failed(task, error)

    def run_all(progress: ProgressBar, cancel: CancelToken) -> None:
        request.where.run_many(jobs(), ended, progress, cancel)

    with _folder(plan.folder):
        try:
            _watched(run_all, request, signals)
        except VidreamError as error:
            fail(error)
    _end_batch(plan, failed)


def _run(job: Job, request: _Request, signals: Signals) -> None:
    """Run a job; exits if a signal asks for it. Raises VidreamError."""

    def run_it(progress: ProgressBar, cancel: CancelToken) -> None:
        request.where.run(replace(job, reporter=progress, cancel=cancel))

    _watched(run_it, request, signals, waits=not job.source.is_live)


def _watched(
    run: Callable[[ProgressBar, CancelToken], None],
    request: _Request,
    signals: Signals,
    *,
    waits: bool = True,
) -> None:
    """Run with a progress bar; exits if a signal asks for it. Raises VidreamError."""
    with (
        messages(quiet=request.quiet, verbose=request.verbose),
        ProgressBar(hidden=request.quiet, signals=signals) as progress,
    ):
        try:
            cancel = signals.new_run(waits=waits)
            keep_freed_memory()
            run(progress, cancel)
        except CancelledError as error:
            progress.close()
            end_stopped(in_words(error), Stopped(signals.number or signal.SIGINT))
        except KeyboardInterrupt as stop:
            progress.close()
            end_stopped(progress.describe_stop(getattr(stop, "__notes__", [])), stop)


@contextlib.contextmanager
def _folder(path: Path | None) -> Iterator[None]:
    """Make a folder, if there is to be one; it is removed again if it stays empty."""
    if path is None:
        yield
        return
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
