# SPDX-License-Identifier: MIT
"""A p2pd with an emulated device in a directory of its own, for one test."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Optional

import p2pd_wire as wire

PROVIDER = "0000:01:00.0/2"
BAR = 64 << 20
EXPORTS = 131072

DEFAULT_POLICY = f"""
[daemon]
reattach-time = 5s
hello-time = 1s
stall-time = 2s
revoke-deadline = 500ms

[rule everybody]
allow = yes
"""

# And everybody may publish.
PUBLISHERS = """
[rule publishers]
publish = *
allow = yes
"""


class Daemon:
    """p2pd-emulated, alone or below p2pd-keeper."""

    def __init__(self, build: Path, policy: str = DEFAULT_POLICY, keeper: bool = True,
                 bar: int = BAR, prefix: tuple[str, ...] = (),
                 environment: Optional[dict[str, str]] = None,
                 program: str = "p2pd-emulated", owner: Optional[int] = None,
                 quiet: bool = False) -> None:
        self.build = build
        # pylint: disable=consider-using-with
        self.scratch = tempfile.TemporaryDirectory(prefix="p2pd-test-")
        self.root = Path(self.scratch.name)
        self.config = self.root / "p2pd.conf"
        self.config.write_text(policy, encoding="utf-8")
        self.config.chmod(0o644)
        self.path = str(self.root / "p2pd.sock")
        self.kernel = self.root / "device"
        self.log = self.root / "log"
        # A p2pd that may write only small files finds it in its size.
        with open(self.kernel, "wb") as handle:
            handle.truncate(24 + EXPORTS * 24)
        if owner is not None:
            for path in (self.root, self.kernel):
                os.chown(path, owner, owner)
        self.is_quiet = quiet
        self.env = dict(os.environ, P2PD_EMULATED=str(self.kernel), P2PD_EMULATED_BYTES=str(bar))
        for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "FDSTORE"):
            self.env.pop(name, None)
        self.env.update(environment or {})
        programs = [build / "tests/daemon" / program, build / "daemon/p2pd-keeper"]
        if owner is not None:
            # Somebody else may not be let into the directory of the build.
            programs = [Path(shutil.copy(path, self.root)) for path in programs]
        command = [*prefix, str(programs[0]), "--config", str(self.config), "--socket", self.path]
        if keeper:
            command.insert(0, str(programs[1]))
        self.has_keeper = keeper
        self.process = self._start(command)
        self.command = command

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(os.devnull if self.is_quiet else self.log, "ab") as log:
            process = subprocess.Popen(command, env=self.env, stderr=log, stdout=log)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                client = wire.Client(self.path)
                try:
                    client.hello()
                finally:
                    client.close()
                return process
            except (FileNotFoundError, ConnectionRefusedError, EOFError, TimeoutError):
                if process.poll() is not None:
                    break
                time.sleep(0.01)
        raise AssertionError(f"p2pd does not start:\n{self.text()}")

    def text(self) -> str:
        """The log."""
        if self.is_quiet:
            return ""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def client(self, timeout: float = 20.0) -> wire.Client:
        """A connection that has said HELLO."""
        return wire.Client(self.path, timeout).hello()

    def reconnect(self, seconds: float = 20.0) -> wire.Client:
        """The same while p2pd may be starting."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.client(5.0)
            except (OSError, EOFError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.002)

    def pid(self) -> int:
        """Of p2pd itself."""
        if not self.has_keeper:
            return self.process.pid
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while True:
            found = children.read_text(encoding="ascii").split()
            if found:
                return int(found[0])
            time.sleep(0.001)

    def kill(self) -> None:
        """SIGKILL to p2pd; the keeper starts the next one."""
        try:
            os.kill(self.pid(), signal.SIGKILL)
        except ProcessLookupError:
            # It ended by itself in between.
            pass

    def fds(self) -> list[str]:
        """What p2pd has open."""
        root = Path(f"/proc/{self.pid()}/fd")
        names = []
        for entry in root.iterdir():
            try:
                names.append(os.readlink(entry))
            except FileNotFoundError:
                continue
        return sorted(names)

    def exports(self) -> list[tuple[int, int, int, int]]:
        """(id, state, offset, length) of what the emulated kernel exports."""
        raw = self.kernel.read_bytes()
        return [entry for entry in struct.iter_unpack("<IIQQ", raw[24:]) if entry[1]]

    def set_kernel(self, **values: int) -> None:
        """fail_export, fail_errno, stubborn, is_gone."""
        places = {"fail_export": 8, "fail_errno": 12, "stubborn": 16, "is_gone": 20}
        with open(self.kernel, "r+b") as handle, \
                mmap.mmap(handle.fileno(), 4096) as memory:
            for name, value in values.items():
                struct.pack_into("<i", memory, places[name], value)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            hanging = self.pid()
            self.process.kill()
            self.process.wait()
            if self.has_keeper:
                os.kill(hanging, signal.SIGKILL)
            raise
        self.scratch.cleanup()
        return code
