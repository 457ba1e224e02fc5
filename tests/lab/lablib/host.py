# SPDX-License-Identifier: MIT
"""What the host does for a scenario: hot-plug, addresses, bytes behind a BAR.

A request is one line of words, the answer an exit status and one line. The
words are what `host` in guest/verbs.sh is called with.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .base import LabError

# Long: a guest with a debug kernel on a busy host takes most of a minute.
UNPLUG_TIMEOUT_S = 120


class Qmp:
    """A connection to QEMU's monitor; events are kept until they are asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(10)
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        self._read()
        self.command("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise LabError("QEMU closed its monitor")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def command(self, name: str, **arguments: Any) -> Any:
        """Run one command; a LabError carries QEMU's own sentence."""
        self._socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode()
                             + b"\n")
        while True:
            message = self._read()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise LabError(message["error"]["desc"])
            else:
                return message.get("return")

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def pump(self) -> bool:
        """Read what has come without being asked for; False when QEMU is gone."""
        try:
            chunk = self._socket.recv(65536)
        except OSError:
            return False
        self._buffer += chunk
        while b"\n" in self._buffer:
            message = self._read()
            if "event" in message:
                self.events.append(message)
        return bool(chunk)

    def take(self, name: str) -> bool:
        """Has this event come? It is forgotten then."""
        for event in self.events:
            if event["event"] == name:
                self.events.remove(event)
                return True
        return False

    def wait_event(self, name: str, match: Callable[[dict[str, Any]], bool],
                   timeout_s: float) -> dict[str, Any]:
        """Wait for an event whose data @match accepts."""
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self.events:
                if event["event"] == name and match(event.get("data", {})):
                    self.events.remove(event)
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                raise LabError(f"no {name} in {timeout_s:.0f} s")
            self._socket.settimeout(left)
            try:
                message = self._read()
            except TimeoutError:
                continue
            finally:
                self._socket.settimeout(10)
            if "event" in message:
                self.events.append(message)


class Host:
    """Answers the guest's requests."""

    def __init__(self, qmp: Qmp, files: Path) -> None:
        self._qmp = qmp
        self._files = files
        self._verbs: dict[str, Callable[..., str]] = {
            "bdf": self._bdf, "device_del": self._device_del, "device_add": self._device_add,
            "device_del_async": self._device_del_async, "gone": self._gone,
            "qmp": self._plain_qmp, "barfile": self._barfile, "link": self._link,
        }

    def answer(self, words: list[str]) -> tuple[int, str]:
        """Do one request."""
        verb = self._verbs.get(words[0]) if words else None
        if not verb:
            return 2, f"the host knows no request '{' '.join(words)}'"
        try:
            return 0, verb(*words[1:])
        except (LabError, OSError, TypeError, ValueError) as error:
            return 1, " ".join(f"{words[0]}: {error}".split())

    def quit(self) -> None:
        """End the machine from outside."""
        with contextlib.suppress(LabError, OSError):
            self._qmp.command("quit")

    def _bdf(self, ident: str) -> str:
        """bdf ID: the PCI address the guest gave a device."""
        for bus in self._qmp.command("query-pci"):
            found = _find_device(bus["devices"], ident)
            if found:
                return (f"0000:{found['bus']:02x}:{found['slot']:02x}.{found['function']}")
        raise LabError(f"no device has the id {ident}")

    def _device_del(self, ident: str, timeout_s: str = str(UNPLUG_TIMEOUT_S)) -> str:
        """device_del ID [SECONDS]: unplug, wait until it is gone; the milliseconds it took."""
        begin = time.monotonic()
        self._qmp.command("device_del", id=ident)
        self._qmp.wait_event("DEVICE_DELETED", lambda d: d.get("device") == ident,
                             float(timeout_s))
        return f"{(time.monotonic() - begin) * 1000:.0f}"

    def _device_del_async(self, ident: str) -> str:
        """device_del_async ID: ask for the unplugging and go on."""
        self._qmp.command("device_del", id=ident)
        return ""

    def _gone(self, ident: str, timeout_s: str = str(UNPLUG_TIMEOUT_S)) -> str:
        """gone ID [SECONDS]: wait for an unplugging asked for before."""
        begin = time.monotonic()
        self._qmp.wait_event("DEVICE_DELETED", lambda d: d.get("device") == ident,
                             float(timeout_s))
        return f"{(time.monotonic() - begin) * 1000:.0f}"

    def _device_add(self, options: str) -> str:
        """device_add DRIVER,OPTIONS: plug a device in."""
        said = self._qmp.command("human-monitor-command", **{
            "command-line": f"device_add {options}"})
        if said.strip():
            raise LabError(said.strip())
        return ""

    def _link(self, ident: str, state: str) -> str:
        """link NETDEV up|down: the cable of a network card."""
        self._qmp.command("set_link", name=ident, up=state == "up")
        return ""

    def _plain_qmp(self, command: str, *pairs: str) -> str:
        """qmp COMMAND KEY=VALUE...: any command of the monitor; its answer as JSON."""
        arguments = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            try:
                arguments[key] = json.loads(value)
            except ValueError:
                arguments[key] = value
        return json.dumps(self._qmp.command(command, **arguments))

    def _barfile(self, name: str, action: str, offset: str, length: str, value: str = "0") -> str:
        """barfile NAME sha256|hex|fill OFFSET LENGTH [BYTE]: the memory behind a BAR."""
        path = self._files / name
        if "/" in name or not path.exists():
            raise LabError(f"there is no memory file {name}")
        begin, size = int(offset, 0), int(length, 0)
        if begin < 0 or size <= 0 or begin + size > path.stat().st_size:
            raise LabError(f"{offset}+{length} lies outside of {name}")
        with open(path, "r+b") as handle:
            handle.seek(begin)
            if action == "fill":
                handle.write(bytes([int(value, 0)]) * size)
                return ""
            data = handle.read(size)
        if action == "sha256":
            return hashlib.sha256(data).hexdigest()
        if action == "hex":
            return data[:1024].hex()
        raise LabError(f"unknown action {action}")


def _find_device(devices: list[dict[str, Any]], ident: str) -> dict[str, Any] | None:
    for device in devices:
        if device.get("qdev_id") == ident:
            return device
        bridge = device.get("pci_bridge", {})
        found = _find_device(bridge.get("devices", []), ident)
        if found:
            return found
    return None
