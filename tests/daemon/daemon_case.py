# SPDX-License-Identifier: MIT
"""What the tests of a running p2pd have in common: the build directory is their argument."""

from __future__ import annotations

import os
import signal
import sys
import time
import unittest
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import p2pd_run
import p2pd_wire as wire

BUILD = Path(".")


# How long something that comes true may take where others starve us of the processor, in seconds.
PATIENCE = 30.0


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
        fields = handle.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def user(uid: int) -> Iterator[None]:
    """Who connects in here is that user, as the kernel tells p2pd."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


class DaemonCase(unittest.TestCase):
    """One p2pd for each test; what it leaves open or leased at the end is a failure."""

    POLICY = p2pd_run.DEFAULT_POLICY
    OPTIONS: dict[str, Any] = {}

    def setUp(self) -> None:
        self.daemon = p2pd_run.Daemon(BUILD, self.POLICY, **self.OPTIONS)
        self.opened: list[wire.Client] = []
        self.children: list[int] = []
        # The text that it told last stays with it.
        first = self.daemon.client()
        os.close(first.call(wire.STATS, bytes(8))[1])
        first.close()
        # It has noticed that we hung up: a client's descriptors go all at once.
        time.sleep(0.1)
        self.until(lambda: not any("pidfd" in name for name in self.daemon.fds()))
        self.before = len(self.daemon.fds())
        self.first_pid = self.daemon.pid()
        self.addCleanup(self.finish)

    def finish(self) -> None:
        """Nothing may be left of the clients but what the test says."""
        for client in self.opened:
            client.close()
        for child in self.children:
            try:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        text = self.daemon.text()
        code = self.daemon.stop()
        self.assertEqual(code, 0, text[-2000:])
        self.assertNotIn("Sanitizer", text, text[-6000:])
        self.assertNotIn("runtime error", text, text[-6000:])

    def client(self, timeout: float = 20.0) -> wire.Client:
        """A connection that is closed after the test."""
        client = self.daemon.client(timeout)
        self.opened.append(client)
        return client

    def stranger(self) -> wire.Client:
        """A connection that has said nothing yet."""
        client = wire.Client(self.daemon.path)
        self.opened.append(client)
        return client

    def refused(self, error: int, call: Callable[..., Any], *args: Any, **more: Any) -> str:
        """Answered with this error; the cause."""
        with self.assertRaises(wire.Refused) as caught:
            call(*args, **more)
        self.assertEqual(os.strerror(caught.exception.error), os.strerror(error),
                         caught.exception.cause)
        self.assertTrue(caught.exception.cause)
        return caught.exception.cause

    def hung_up(self, client: wire.Client, seconds: float = PATIENCE) -> None:
        """The daemon has dropped it."""
        client.sock.settimeout(seconds)
        with self.assertRaises(EOFError):
            while True:
                client.receive()

    def until(self, what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Waits for something that comes true."""
        end = time.monotonic() + seconds
        while True:
            value = what()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not after {seconds} s:\n{self.daemon.text()[-2000:]}")
            time.sleep(0.01)

    def status(self) -> tuple[int, int]:
        """(clients but for the one that asks, leases)."""
        # A crowd may have filled the backlog: connect() doesn't wait for it.
        with_me = self.daemon.reconnect()
        reply, _ = with_me.call(wire.STATUS)
        with_me.close()
        values = wire.S_STATUS.unpack(reply)
        return values[2] - 1, values[3]

    def still_serves(self) -> None:
        """The same p2pd grants and takes back, quickly."""
        client = self.daemon.client()
        begin = time.monotonic()
        client.release(client.acquire())
        self.assertLess(time.monotonic() - begin, 2.0)
        client.close()
        self.assertEqual(self.daemon.pid(), self.first_pid, "p2pd was started again:\n"
                         + self.daemon.text()[-3000:])

    def is_clean(self, leases: int = 0) -> None:
        """No clients, no descriptors of them, no leases."""
        self.until(lambda: self.status() == (0, leases))
        self.until(lambda: len(self.daemon.fds()) <= self.before)
        self.assertEqual(len(self.daemon.exports()), leases)

    def fork(self, run: Callable[[], Any], uid: Optional[int] = None) -> int:
        """Runs it in a process, as another user; 0 is success."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if uid is not None:
                    os.setgroups([])
                    os.setgid(uid)
                    os.setuid(uid)
                run()
                code = 0
            except Exception as error:  # pylint: disable=broad-exception-caught
                print(f"in the child: {error!r}", file=sys.stderr)
            os._exit(code)
        self.children.append(child)
        return child

    def ends(self, child: int) -> None:
        """It does, with success."""
        _, status = os.waitpid(child, 0)
        self.children.remove(child)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)

    def as_user(self, uid: int, run: Callable[[], Any]) -> None:
        """A whole test in a process of another user."""
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        self.daemon.root.chmod(0o755)
        self.ends(self.fork(run, uid))


def main() -> None:
    """TEST BUILD-DIRECTORY [unittest's options]."""
    global BUILD  # pylint: disable=global-statement
    if len(sys.argv) < 2:
        sys.exit("usage: TEST BUILD-DIRECTORY")
    BUILD = Path(sys.argv.pop(1)).resolve()
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if result.skipped and result.testsRun == len(result.skipped):
        sys.exit(77)
    sys.exit(not result.wasSuccessful())
