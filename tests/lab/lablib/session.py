# SPDX-License-Identifier: MIT
"""The conversation with one running guest, over the port of results.

Lines come in; a line that begins with `host` is a request and is answered.
When the guest wakes up from sleep its driver waits to be told that somebody
listens, so the connection is made anew until the guest says something.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .base import LabError
from .host import Host, Qmp

CONNECT_TIMEOUT_S = 20
RECONNECT_S = 2.0


class Session:
    """What the guest said, and whether it came to its end."""

    def __init__(self, process: subprocess.Popen[bytes], work: Path,
                 on_line: Callable[[str], None] | None = None) -> None:
        self._process = process
        self._work = work
        self._on_line = on_line
        self._pending = b""
        self.lines: list[str] = []
        self.timed_out = False
        self.ended = False

    def _connect(self, name: str) -> socket.socket:
        """Connect to a socket that QEMU makes when it starts."""
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self._work / name))
                return connection
            except OSError as error:
                connection.close()
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise LabError(f"QEMU does not open {name}") from error
                time.sleep(0.02)

    def serve(self, deadline: float, boot_deadline: float) -> None:
        """Talk until the guest ends or @deadline (monotonic) is over.

        The guest's first line must be there by @boot_deadline. Time in which
        the host kept QEMU waiting for a processor does not count.
        """
        try:
            port = self._connect("port")
            qmp = Qmp(self._connect("qmp"))
        except (OSError, LabError):
            # QEMU refused its arguments; its own sentence is in qemu.log.
            return
        host = Host(qmp, self._work)
        reconnect_at = float("inf")
        with selectors.DefaultSelector() as selector:
            selector.register(port, selectors.EVENT_READ)
            selector.register(qmp, selectors.EVENT_READ)
            while not self.timed_out:
                limit = deadline if self.lines else min(deadline, boot_deadline)
                left = limit + self._kept_waiting_s() - time.monotonic()
                ready = [key.fileobj for key, _ in selector.select(max(0.0, min(left, 1.0)))]
                if qmp in ready and not qmp.pump():
                    selector.unregister(qmp)
                if qmp.take("WAKEUP"):
                    reconnect_at = time.monotonic() + RECONNECT_S
                if port in ready:
                    reconnect_at = float("inf")
                    if not self._receive(port, host):
                        break
                elif time.monotonic() > reconnect_at:
                    selector.unregister(port)
                    port.close()
                    port = self._connect("port")
                    selector.register(port, selectors.EVENT_READ)
                    reconnect_at = time.monotonic() + RECONNECT_S
                if not ready and self._process.poll() is not None:
                    break
                self.timed_out = left <= 0
        port.close()
        qmp.close()

    def _kept_waiting_s(self) -> float:
        """How long QEMU could have run and wasn't let to: a busy host is no hang."""
        longest = 0.0
        try:
            for path in Path(f"/proc/{self._process.pid}/task").glob("*/schedstat"):
                longest = max(longest, int(path.read_text(encoding="ascii").split()[1]) / 1e9)
        except (OSError, IndexError, ValueError):
            pass
        return longest

    def _receive(self, port: socket.socket, host: Host) -> bool:
        """Read what is there and answer it; False at the end."""
        try:
            chunk = port.recv(65536)
        except ConnectionError:
            return False
        self._pending += chunk
        while b"\n" in self._pending:
            raw, self._pending = self._pending.split(b"\n", 1)
            self._line(raw.decode(errors="replace").rstrip("\r"), port, host)
        return bool(chunk)

    def _line(self, line: str, port: socket.socket, host: Host) -> None:
        self.lines.append(line)
        word = line.split(" ")[0]
        self.ended = self.ended or word == "end"
        if self._on_line:
            self._on_line(line)
        if word == "end" and line.endswith(" quit"):
            host.quit()
        if word == "host":
            status, text = host.answer(line.split()[1:])
            self.lines.append(f"< {status} {text}")
            # What QEMU dies of is no answer; reading will say that it's gone.
            with contextlib.suppress(ConnectionError):
                port.sendall(f"reply {status} {text}\n".encode())
