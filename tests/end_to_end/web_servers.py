"""The web server and the daemon of a project in a folder, started as a person starts them, and asked as the UI does."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.end_to_end.conftest import ProjectFolder


class WebServer:
    """What the UI asks of the web server."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def answers(self) -> bool:
        try:
            return bool(self.ask("{ version }"))
        except OSError:
            return False


def wait_for(reached: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.5)


@contextmanager
def serving(folder: ProjectFolder) -> Iterator[WebServer]:
    """A web server and a daemon; both end, by their process, with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = ["-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    commands = {"server": served, "daemon": ["-m", "dagster._daemon", "run", "-w", "workspace.yaml"]}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in commands.items():
            with (folder.path / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        [sys.executable, *command], cwd=folder.path, env=folder.environment, stdout=log, stderr=log
                    )
                )
        web = WebServer(port)
        wait_for(web.answers, 90, "the web server answers")
        yield web
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
