"""A scheduler and workers in processes of their own, on the loopback interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch

START = 90.0  # seconds

_RUN = "import sys; sys.argv[0] = 'dask'; from distributed.cli.{name} import main; main()"


def environment(**more: str) -> dict[str, str]:
    """The environment of a worker: as many threads as this process computes with."""
    return {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s", **more}


class DaskProcesses:
    """Starts a scheduler; stopped by its own processes."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.workers: list[subprocess.Popen] = []
        self.log = folder / "dask.log"
        self.scheduler = self._start("dask_scheduler", "", "--port", str(port))
        self._wait_for("Scheduler at")

    def _start(self, name: str, before: str, *options: str, **more: str) -> subprocess.Popen:
        command = [sys.executable, "-c", before + _RUN.format(name=name), *options]
        with self.log.open("a") as log:
            return subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--no-dashboard"],
                stdout=log,
                stderr=log,
                env=environment(**more),
                cwd=self.folder,
            )

    def add(self, before: str = "", **more: str) -> subprocess.Popen:
        """Start a worker, whose Python does something ``before``."""
        known = self.log.read_text().count("Register worker")
        threads = str(torch.get_num_threads())
        options = ("--no-nanny", "--nthreads", threads, "--local-directory", str(self.folder))
        worker = self._start("dask_worker", before, self.address, *options, **more)
        self.workers.append(worker)
        self._wait_for("Register worker", known + 1)
        return worker

    def _wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + START
        while self.log.read_text().count(text) < times:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def clear(self) -> None:
        """End the workers."""
        for worker in self.workers:
            worker.send_signal(signal.SIGCONT)
            worker.kill()
            worker.wait()
        self.workers.clear()
        time.sleep(0.5)  # the scheduler hears of it

    def close(self) -> None:
        self.clear()
        self.scheduler.kill()
        self.scheduler.wait()
