#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Monitors: what they hear of whom."""

import errno
import os
import struct
import subprocess

import daemon_case
import p2pd_wire as wire

ALICE, MALLORY = 4711, 4712
GRANTED, ENDED, DENIED = 4, 6, 7


class MonitorCase(daemon_case.DaemonCase):
    """As root, which can be everybody."""

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root can be other users")
        super().setUp()
        self.daemon.root.chmod(0o755)

    def client_of(self, uid: int) -> wire.Client:
        """A connection of that user."""
        with daemon_case.user(uid):
            return self.client()

    def monitor_of(self, uid: int) -> wire.Client:
        """One that hears of what happens."""
        client = self.client_of(uid)
        client.call(wire.MONITOR, struct.pack("<II", 1, 0))
        return client

    def heard(self, monitor: wire.Client) -> list[tuple[int, int, str]]:
        """Type, user and label of what has come: it is sent before the next answer."""
        monitor.call(wire.STATUS)
        events = [wire.S_MONITOR.unpack(event.body) for event in monitor.events]
        monitor.events.clear()
        return [(event[0], event[4], wire.text(event[9])) for event in events]


class Others(MonitorCase):
    """Of others' leases only administrators hear."""

    def test_denials_are_private(self) -> None:
        """A denial has no lease, and says as much of its user as a grant: who, which process, for what."""
        alice, admin = self.client_of(ALICE), self.monitor_of(0)
        own, other = self.monitor_of(ALICE), self.monitor_of(MALLORY)
        self.refused(errno.ENODEV, alice.acquire, 4096, "0000:99:00.0/2", label="secret project")
        lease = alice.acquire(label="secret project")
        alice.release(lease)
        told = [(kind, ALICE, "secret project") for kind in (DENIED, GRANTED, ENDED)]
        self.assertEqual(self.heard(own), told)
        self.assertEqual(self.heard(admin), told)
        self.assertEqual(self.heard(other), [])
        admin.drain("*", True)
        self.assertEqual([event[0] for event in self.heard(other)], [3])
        admin.drain("*", False)


class Many(MonitorCase):
    """Each event is a packet for each of its user's monitors, and everybody waits for that."""

    def switch(self, client: wire.Client, is_on: bool) -> None:
        """As MONITOR does."""
        client.call(wire.MONITOR, struct.pack("<II", is_on, 0))

    def test_as_many_as_one_may_have(self) -> None:
        """One more is refused, and counts when another is switched off or has gone; root has no limit."""
        monitors = [self.monitor_of(ALICE) for _ in range(16)]
        more = self.client_of(ALICE)
        self.assertIn("as many monitors as one may have",
                      self.refused(errno.EDQUOT, self.switch, more, True))
        # On is on: it counts once.
        self.switch(monitors[0], True)
        self.monitor_of(MALLORY)
        for uid in [0] * 20:
            self.monitor_of(uid)
        self.switch(monitors[0], False)
        self.switch(more, True)
        self.refused(errno.EDQUOT, self.switch, monitors[0], True)
        monitors[1].close()
        self.until(lambda: self.status()[0] == len(self.opened) - 1)
        self.switch(monitors[0], True)
        # One that is dropped.
        monitors[2].send_raw(b"no message")
        self.hung_up(monitors[2])
        self.monitor_of(ALICE)
        self.refused(errno.EDQUOT, self.switch, self.client_of(ALICE), True)
        for client in self.opened:
            client.close()
        self.is_clean()

    def test_told_by_p2pctl(self) -> None:
        """With p2pd's sentence."""
        for _ in range(16):
            self.monitor_of(ALICE)

        def run() -> None:
            done = subprocess.run(
                [str(daemon_case.BUILD / "cli/p2pctl"), "--timeout", "1s", "monitor"], check=False,
                stderr=subprocess.PIPE, env=dict(os.environ, P2PDMA_SOCKET=self.daemon.path))
            assert done.returncode == 6, done
            assert b"user 4711 has as many monitors as one may have" in done.stderr, done
        self.as_user(ALICE, run)


if __name__ == "__main__":
    daemon_case.main()
