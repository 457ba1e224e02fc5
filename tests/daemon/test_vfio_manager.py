#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Functions of VFIO below a service manager that is late, can't be asked, or is gone: whoever is granted one
has it alone. A function that is opened again while anybody has a copy of its last opening is a fault,
since that lets old DMABUFs come back to life."""

import os
import resource
import tempfile
import time
from pathlib import Path

import daemon_case
import fake_machine
import p2pd_wire as wire
import test_vfio
from test_manager import Manager

VFIO = test_vfio.VFIO
UNAVAILABLE = 2


class Asked(test_vfio.VfioCase):
    """Below a service manager that answers when the test says so."""

    KEEPER = False

    def setUp(self) -> None:
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix="p2pd-manager-")
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "notify")
        self.manager = Manager(path)
        self.addCleanup(self.manager.close)
        self.ENVIRONMENT = {"NOTIFY_SOCKET": str(path)}
        super().setUp()
        self.answers()

    def answers(self) -> None:
        """All that has been asked at the beginning."""
        self.until(lambda: not self.manager.take() and len(self.manager.barriers) == 3)
        self.manager.answer()

    def asks(self) -> None:
        """It has."""
        self.until(lambda: not self.manager.take() and self.manager.barriers)

    def test_opened_and_not_kept(self) -> None:
        """Nothing is granted before it is; what follows doesn't depend on the manager."""
        client = self.client()
        self.ask(client)
        self.asks()
        self.assertIn("dev-0000-02-00.0", "".join(self.manager.kept))
        self.waits(client)
        self.serves()
        self.manager.answer()
        lease = self.answered(client)
        client.release(lease)
        # Closed by the manager, then by p2pd, then what was shared.
        for _ in range(2):
            self.asks()
            self.manager.answer()
        self.until(lambda: not client.leases())

    def test_closed_and_not_forgotten(self) -> None:
        """With the manager's copy open it isn't closed, and nobody gets it, however long that takes."""
        client, other = self.client(), self.client()
        self.ask(client)
        self.asks()
        self.manager.answer()
        client.release(self.answered(client))
        self.ask(other)
        begin = time.monotonic()
        self.until(lambda: "has closed p2pd's copy (ETIMEDOUT)" in self.daemon.text())
        self.assertGreater(time.monotonic() - begin, 1.5)
        self.waits(other, 0.5)
        self.serves()
        self.assertEqual(len(client.leases()), 1)
        self.manager.answer()
        for _ in range(2):
            self.asks()
            self.manager.answer()
        other.release(self.answered(other))

    def granted(self, client: wire.Client) -> wire.Lease:
        """A lease of the function, with the manager's help."""
        self.ask(client)
        self.asks()
        self.manager.answer()
        return self.answered(client)

    def closes(self) -> None:
        """The manager closes its copies, and says so."""
        for _ in range(2):
            self.asks()
            self.manager.answer()

    def allow_descriptors(self, most: int) -> None:
        """p2pd's soft limit."""
        _, hard = resource.prlimit(self.first_pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.first_pid, resource.RLIMIT_NOFILE, (most or hard, hard))

    def lowest_free(self) -> int:
        """The number that p2pd's next descriptor would have."""
        used = {int(name) for name in os.listdir(f"/proc/{self.first_pid}/fd")}
        return next(number for number in range(1 << 20) if number not in used)

    def provider(self, client: wire.Client) -> tuple[int, str]:
        """How it is listed: (flags, cause)."""
        for raw in client.list(wire.PROVIDERS):
            values = wire.S_PROVIDER.unpack(raw[:wire.S_PROVIDER.size])
            if wire.text(values[0]).startswith(VFIO):
                return values[5], wire.text(values[2])
        raise AssertionError("it isn't listed")

    def test_cannot_be_asked(self) -> None:
        """Without a descriptor for the question p2pd waits for one; nobody gets the function meanwhile."""
        client, other = self.client(), self.client()
        lease = self.granted(client)
        # What it closes behind its answer is closed by then.
        self.daemon.client().close()
        time.sleep(0.2)
        self.allow_descriptors(self.lowest_free())
        client.release(lease)
        self.until(lambda: "has closed p2pd's copy (EMFILE)" in self.daemon.text())
        self.ask(other)
        self.waits(other, 1.0)
        self.assertEqual(self.nr_open(), 1)
        flags, cause = self.provider(client)
        self.assertTrue(flags & UNAVAILABLE)
        self.assertIn("EMFILE", cause)
        self.allow_descriptors(0)
        # It has been told all that time; now it is asked as well.
        self.asks()
        self.assertIn("FDSTOREREMOVE=1", self.manager.said)
        with os.fdopen(client.call(wire.STATS, bytes(8))[1], "rb") as handle:
            metrics = handle.read().decode()
        self.assertRegex(metrics, f'p2pd_provider_troubled{{provider="{VFIO}/2@[0-9]+",'
                         'backend="vfio"} 1\n')
        self.waits(other)
        self.closes()
        self.asks()
        self.manager.answer()
        lease = self.answered(other)
        self.assertEqual(self.provider(client), (0, ""))
        self.assertIn("it is closed, and leases go on", self.daemon.text())
        other.release(lease)
        self.closes()

    def test_somebody_is_still_closing_it(self) -> None:
        """systemd says that it has forgotten a copy, and closes it a moment later: the kernel is believed."""
        client, other = self.client(), self.client()
        lease = self.granted(client)
        enable = self.machine.folder(self.machine.functions[VFIO]) / "enable"
        enable.write_text("1\n", encoding="ascii")
        client.release(lease)
        self.asks()
        self.manager.answer()
        self.until(lambda: self.nr_open() == 0)
        self.ask(other)
        self.waits(other, 1.0)
        self.manager.take()
        self.assertEqual(self.manager.barriers, [])
        enable.write_text("0\n", encoding="ascii")
        self.asks()
        self.manager.answer()
        self.asks()
        self.manager.answer()
        other.release(self.answered(other))
        self.closes()

    def test_is_gone(self) -> None:
        """With it went what it kept: nobody waits for ever."""
        client, other = self.client(), self.client()
        lease = self.granted(client)
        self.manager.close()
        client.release(lease)
        self.ask(other)
        other.release(self.answered(other))
        self.assertIn("copy (ECONN", self.daemon.text())

    def test_is_back(self) -> None:
        """One that was away for a moment is asked again, and again waited for."""
        client, other = self.client(), self.client()
        lease = self.granted(client)
        self.manager.close()
        client.release(lease)
        self.until(lambda: "copy (ECONN" in self.daemon.text())
        path = Path(self.ENVIRONMENT["NOTIFY_SOCKET"])
        path.unlink()
        self.manager = Manager(path)
        self.ask(other)
        self.asks()
        self.waits(other, 1.5)
        self.closes()
        self.asks()
        self.manager.answer()
        other.release(self.answered(other))
        self.closes()


if __name__ == "__main__":
    fake_machine.enter()
    daemon_case.main()
