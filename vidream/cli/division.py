"""The options that divide a render into scenes: over a cluster, devices, or an array of jobs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidream.cli.options import Option
from vidream.core.errors import ClusterError, SettingsError, VidreamError
from vidream.core.reporting import CancelToken, Reporter
from vidream.render.job import Job

OPTIONS = (
    Option(
        ["--cluster"],
        metavar="ADDRESS|local[:N]",
        group="Several machines",
        common=False,
        help="Render scenes on the workers of a Dask scheduler, or on N of this machine.",
    ),
    Option(
        ["--shared"],
        metavar="FOLDER",
        group="Several machines",
        common=False,
        help="Folder that all workers see: what they render goes through it. Unset: it is sent.",
    ),
    Option(
        ["--part"],
        metavar="K/N",
        group="Several machines",
        common=False,
        help="Render scenes that none of N such commands has taken; the last one joins them.",
    ),
)


@dataclass(frozen=True, slots=True)
class Where:
    """Where scenes are rendered."""

    cluster: str | None = None
    shared: Path | None = None
    share: tuple[int, int] | None = None  # of an array of jobs
    devices: tuple[str, ...] = ()  # if there are several

    @classmethod
    def of(
        cls, *, cluster: str | None, shared: str | None, part: str | None, device: str
    ) -> "Where":
        """Return where the options of this module say, and the setting ``device``.

        Raises:
            SettingsError: they do not go together.
        """
        devices = tuple(name.strip() for name in device.split(",")) if "," in device else ()
        if len({name.partition(":")[0] for name in devices}) > 1:
            raise SettingsError(f"{device} are of several kinds: their pictures would differ")
        if part is not None and (cluster is not None or devices):
            raise SettingsError("give either --part, or --cluster or several devices")
        if shared is not None:
            if cluster is None:
                raise SettingsError("--shared is for --cluster: give both")
            if not Path(shared).is_dir():
                raise SettingsError(f"--shared: there is no folder {shared}")
        if devices and cluster is not None and cluster.partition(":")[0] != "local":
            raise SettingsError("workers have a `device` of their own: give one, or auto")
        share = None if part is None else _share(part)
        return cls(cluster, None if shared is None else Path(shared), share, devices)

    @property
    def on_cluster(self) -> bool:
        """Whether workers render."""
        return self.cluster is not None or bool(self.devices)

    @property
    def divides(self) -> bool:
        """Whether scenes are rendered one by one."""
        return self.on_cluster or self.share is not None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of every job: with several devices, the kind that they are of."""
        return {"device": self.devices[0].partition(":")[0]} if self.devices else {}

    def run(self, job: Job) -> None:
        """Render a job; raises VidreamError."""
        if self.on_cluster:
            cluster = self._cluster()
            place = self.cluster or "local"
            cluster.run_job_on_cluster(job, place, shared=self.shared, devices=self.devices)
        elif self.share is not None:
            from vidream.render.part_array import run_parts  # noqa: PLC0415  (it imports PyTorch)

            run_parts(job, self.share)
        else:
            from vidream.render.run import run  # noqa: PLC0415  (likewise)

            run(job)

    def _cluster(self) -> Any:
        """Return the module that renders on clusters; raises VidreamError if it cannot."""
        try:
            import distributed  # noqa: F401, PLC0415  (an extra)
        except ImportError as error:
            raise ClusterError(
                "this needs Dask, which is not installed: run pip install 'vidream[cluster]'"
            ) from error
        from vidream.cluster import run  # noqa: PLC0415  (these import PyTorch)
        from vidream.core.devices import choose_device  # noqa: PLC0415

        for name in self.devices:
            choose_device(name)
        return run

    def run_many(
        self,
        jobs: Iterable[Job],
        ended: Callable[[Job, VidreamError | None], None],
        reporter: Reporter,
        cancel: CancelToken,
    ) -> None:
        """Render jobs on workers; raises as :func:`~vidream.cluster.run.run_on_cluster`."""
        self._cluster().run_on_cluster(
            jobs,
            self.cluster or "local",
            ended,
            shared=self.shared,
            devices=self.devices,
            reporter=reporter,
            cancel=cancel,
        )


def _share(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise SettingsError(f"--part: {text!r} is no share: write 3/8 for the third of eight")
    return int(number), int(of)
