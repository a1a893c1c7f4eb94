"""A studio in a process of its own, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

START = 60.0  # seconds

# Jobs of a shell in the background ignore SIGINT, and hand that on.
VIDREAM = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from vidream.cli import main; main()",
]
"""The command, which SIGINT ends."""


class StudioServer:
    """Runs ``vidream studio`` on a folder; stopped by its own process."""

    def __init__(self, folder: Path, presets: Path, *options: str):
        environment = {**os.environ, "VIDREAM_PRESETS": str(presets)}
        command = [*VIDREAM, "studio", str(folder), "--no-open"]
        self.folder = folder
        self.process = subprocess.Popen(
            [*command, "--port", "0", *options],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.said: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.address = self._wait_for_address()
        self.host, self.token = re.search(r"//([^/]+)/\?token=(\S+)", self.address).groups()

    def _listen(self):
        for line in self.process.stderr:
            self.said.append(line)

    def _wait_for_address(self) -> str:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            for line in self.said:
                if found := re.search(r"http://\S+", line):
                    return found.group()
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError("".join(self.said))

    def request(
        self,
        method,
        path,
        *,
        query=None,
        body=None,
        sent=None,
        headers=None,
        token=True,
        timeout=90,
    ):
        """Return the status, the headers and the body of an answer; ``sent`` is JSON."""
        own = {"X-Vidream": "1"}
        if token:
            own["Authorization"] = f"Bearer {self.token}"
        if sent is not None:
            body = json.dumps(sent).encode()
        connection = http.client.HTTPConnection(self.host, timeout=timeout)
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            connection.request(method, target, body, {**own, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path, **query):
        return self.request("GET", path, query=query)

    def json(self, method, path, sent=None, **how):
        """Return the JSON of an answer that must be one."""
        status, _, data = self.request(method, path, sent=sent, **how)
        assert status == 200, data
        return json.loads(data)

    def refusal(self, method, path, sent=None, **how):
        """Return the status and the line of an answer that must be a refusal."""
        status, _, data = self.request(method, path, sent=sent, **how)
        assert status >= 400, (status, data[:200])
        try:
            text = json.loads(data)["error"]
        except ValueError:
            text = data.decode()
        assert "Traceback" not in text
        return status, text

    def state(self):
        """Return the first state that the events send."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request(
                "GET", "/api/events", headers={"Authorization": f"Bearer {self.token}"}
            )
            answer = connection.getresponse()
            return json.loads(answer.readline().removeprefix(b"data: "))
        finally:
            connection.close()

    def render(self, id):
        return next(r for r in self.state()["renders"] if r["id"] == id)

    def wait_for(self, id, *statuses, done=0, timeout=90):
        """Wait until a render has one of some statuses, and so many frames."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            render = self.render(id)
            if render["status"] in statuses and render["done"] >= done:
                return render
            assert render["status"] != "failed" or "failed" in statuses, render
            time.sleep(0.1)
        raise AssertionError(render)

    def memory(self) -> int:
        """Return the resident memory, in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=20)

    def stop(self):
        """End it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self.process.stderr.close()
