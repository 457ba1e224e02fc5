#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Monitors: what they hear of whom."""

import errno
import os
import struct

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


if __name__ == "__main__":
    daemon_case.main()
