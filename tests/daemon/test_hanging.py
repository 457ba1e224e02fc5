#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd where those it writes for don't take what it writes: nobody else notices."""

import fcntl
import os
import re
import select
import signal
import tempfile
import time
from pathlib import Path

import daemon_case
import p2pd_run
import p2pd_wire as wire

EVERY = 15


def read_for(fd: int, is_enough: str, so_far: str = "", seconds: float = 20.0) -> str:
    """What has come from a pipe when this is in it."""
    got, end = so_far.encode(), time.monotonic() + seconds
    while is_enough.encode() not in got:
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise AssertionError(f"no {is_enough!r} in {got[-500:]!r}")
        got += os.read(fd, 65536)
    return got.decode()


class Metrics(daemon_case.DaemonCase):
    """The file for node_exporter is on what hangs: a FIFO is there, and whoever opens it waits."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2pd-metrics-")
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "p2pd.prom")
        self.fifo = Path(folder.name, "p2pd.prom.new")
        os.mkfifo(self.fifo)
        self.POLICY = p2pd_run.DEFAULT_POLICY.replace(
            "[daemon]", f"[daemon]\nmetrics-file = {self.file}")
        super().setUp()

    def nr_writers(self) -> int:
        """Threads of p2pd for this file."""
        tasks = Path(f"/proc/{self.daemon.pid()}/task").iterdir()
        return [task.joinpath("comm").read_text("ascii") for task in tasks].count("p2pd-metrics\n")

    def test_hangs_and_goes_on(self) -> None:
        """p2pd serves, says so once, starts no second writer; the metrics come when they can."""
        self.until(lambda: self.nr_writers() == 1)
        self.still_serves()
        os.kill(self.first_pid, signal.SIGUSR1)
        self.until(lambda: '"schema":"p2pd-dump"' in self.daemon.text())
        said = f"{self.file} hangs"
        self.until(lambda: said in self.daemon.text(), 1.5 * EVERY)
        self.still_serves()
        self.assertEqual(self.nr_writers(), 1)
        reader = os.open(self.fifo, os.O_RDONLY)
        self.assertIn("p2pd_leases 0", read_for(reader, "p2pd_user_used gauge"))
        os.close(reader)
        self.until(lambda: "is written again" in self.daemon.text())
        self.until(lambda: self.nr_writers() == 0)
        self.assertEqual(self.daemon.text().count(said), 1)
        # What was the FIFO took the name of the file. From now on it is one.
        self.file.unlink()
        self.until(self.file.exists, 1.5 * EVERY)
        self.until(lambda: re.search(r"^p2pd_granted_total 2$", self.file.read_text("ascii"), re.M))
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o644)
        self.assertFalse(self.fifo.exists())
        self.is_clean()

    def test_ends_all_the_same(self) -> None:
        """SIGTERM ends p2pd although a thread of it waits."""
        self.until(lambda: self.nr_writers() == 1)
        os.kill(self.first_pid, signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(10), 0)


class Links(daemon_case.DaemonCase):
    """Somebody else may write in the folder, too, and p2pd may be root."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2pd-metrics-")
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "p2pd.prom")
        self.beside = Path(folder.name, "p2pd.prom.new")
        self.other = Path(folder.name, "other")
        self.other.write_text("somebody's", encoding="ascii")
        self.other.chmod(0o600)
        self.link()
        self.POLICY = p2pd_run.DEFAULT_POLICY.replace(
            "[daemon]", f"[daemon]\nmetrics-file = {self.file}")
        super().setUp()

    def link(self) -> None:
        """What they make there."""
        self.beside.symlink_to(self.other)

    def test_not_followed(self) -> None:
        """Nothing is written through a link; it is removed, so that the next time there are metrics."""
        self.until(lambda: f"{self.file} can't be written: {self.ERROR}" in self.daemon.text(), 10)
        self.assertEqual(self.other.read_text("ascii"), "somebody's")
        self.assertEqual(self.other.stat().st_mode & 0o777, 0o600)
        self.assertFalse(os.path.lexists(self.beside))
        self.assertFalse(os.path.lexists(self.file))
        self.is_clean()

    ERROR = "ELOOP"


class HardLinks(Links):
    """The same with a link of the other kind."""

    ERROR = "EMLINK"

    def link(self) -> None:
        self.beside.hardlink_to(self.other)


class StandardError(daemon_case.DaemonCase):
    """A pipe that nobody reads."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2pd-pipe-")
        self.addCleanup(folder.cleanup)
        fifo = str(Path(folder.name, "stderr"))
        os.mkfifo(fifo)
        self.reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.reader)
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)
        self.OPTIONS = {"prefix": ("sh", "-c", 'exec "$@" 2>"$0"', fifo)}
        super().setUp()

    def test_full(self) -> None:
        """Lines are lost and counted, the dump waits, clients don't; both come when it is read."""
        client = self.client(5.0)
        for _ in range(1000):
            client.release(client.acquire())
        os.kill(self.first_pid, signal.SIGUSR1)
        for _ in range(1000):
            client.release(client.acquire())
        self.still_serves()
        text = read_for(self.reader, '"leases":[')
        self.assertIn("p2pd: audit granted lease=1 ", text)
        self.assertNotIn("lease=2000 ", text)
        # Others than root have few lines, and earn two a second.
        time.sleep(1.1)
        client.release(client.acquire())
        text = read_for(self.reader, "lines were lost, standard error didn't take them", text)
        if os.getuid() == 0:
            text = read_for(self.reader, "ended lease=2002 ", text)
            lost = sum(map(int, re.findall(r"^p2pd: (\d+) lines were lost", text, re.M)))
            # Each lease has a line when it is granted, and one when it has ended; there are a few
            # others.
            told = len(re.findall(r"^p2pd: audit (granted|ended) lease=\d+ .* at=\".*\"$", text,
                                  re.M))
            self.assertGreaterEqual(told + lost, 4003)
            self.assertLessEqual(told + lost, 4020)
        client.close()
        self.is_clean()


if __name__ == "__main__":
    daemon_case.main()
