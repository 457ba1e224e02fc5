#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files that don't let themselves be closed, and who waits for that: neither p2pd nor another user."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from typing import Callable

import daemon_case
import p2pd_wire as wire
import stuck_file
import test_publish

LINGER_S = 40
PUBLISHING = wire.packet(wire.PUBLISH, wire.S_PUBLISH.pack(b"x", 2, 3, wire.ALL_USERS,
                                                           wire.ALL_USERS))


def lingering() -> socket.socket:
    """The last close() of it takes LINGER_S seconds: its peer doesn't read what is on the way."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    peer, _ = listener.accept()
    listener.close()
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_S))
    # As long as this process lives.
    peer.detach()
    return sender


class LastClose(daemon_case.DaemonCase):
    """What p2pd doesn't take is let go of by whoever closes the connection last: never p2pd."""

    def send_last(self, client: wire.Client, packet: bytes, more: tuple[int, ...] = ()) -> None:
        """Nobody but the packet has the descriptor of a file that takes its time."""
        sender = lingering()
        client.send_raw(packet, (*more, sender.fileno()))
        sender.close()

    def asleep(self) -> Callable[[], None]:
        """p2pd does nothing until it is woken up."""
        pid = self.daemon.pid()
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)

    def test_request_that_takes_none(self) -> None:
        """It stays in its socket, and that is closed elsewhere."""
        client = self.client(5)
        wake = self.asleep()
        self.send_last(client, wire.packet(wire.STATUS))
        wake()
        self.still_serves()
        self.hung_up(client, 5)

    def test_behind_others(self) -> None:
        """Behind the packet for which the connection is closed, also an empty one."""
        for first in (b"", b"x", wire.packet(wire.STATUS)[:-1]):
            client = self.client(5)
            wake = self.asleep()
            client.send_raw(first)
            self.send_last(client, b"")
            wake()
            self.still_serves()
            self.hung_up(client, 5)

    def test_peer_hangs_up(self) -> None:
        """Whose peer has gone, with an answer that it didn't read."""
        for _ in range(8):
            client = self.client(5)
            wake = self.asleep()
            client.send_raw(wire.packet(wire.STATUS))
            self.send_last(client, wire.packet(wire.STATUS))
            client.close()
            wake()
            self.still_serves()

    def test_second_descriptor(self) -> None:
        """One that is too many is let in, too, and not left to the kernel."""
        client, other = self.client(5), self.client(5)
        wake = self.asleep()
        self.send_last(client, PUBLISHING, (0,))
        wake()
        null = os.open("/dev/null", os.O_RDWR)
        self.assertIn("no DMABUF", self.refused(22, test_publish.publish, other, "x", null))
        os.close(null)
        self.hung_up(client, 5)

    def test_end(self) -> None:
        """p2pd ends at once with such packets in its sockets: a porter lets go of them."""
        clients = [self.client(5) for _ in range(30)]
        wake = self.asleep()
        for client in clients:
            self.send_last(client, wire.packet(wire.STATUS))
        os.kill(self.daemon.pid(), signal.SIGTERM)
        wake()
        begin = time.monotonic()
        self.assertEqual(self.daemon.process.wait(timeout=20), 0)
        self.assertLess(time.monotonic() - begin, 5)


class ManyUsers(daemon_case.DaemonCase):
    """Some with a range of subordinate users each, all of which do what they can."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY + daemon_case.p2pd_run.PUBLISHERS
    OPTIONS = {"environment": {"P2PD_EMULATED_DMABUF": test_publish.WORD}}
    USERS = 100

    def as_each(self, first: int) -> list[wire.Client]:
        """Connections of users of their own."""
        clients = []
        for uid in range(first, first + self.USERS):
            os.seteuid(uid)
            try:
                clients.append(self.daemon.client(5))
            finally:
                os.seteuid(0)
        self.opened += clients
        return clients

    def test_all_closers_are_stuck(self) -> None:
        """Others publish as before, and what they send by mistake is an answer."""
        if os.getuid():
            self.skipTest("only root can be many users")
        try:
            stuck = stuck_file.StuckFile()
        except OSError as error:
            self.skipTest(f"no FUSE here: {error}")
        self.daemon.root.chmod(0o755)
        fd = stuck.open()
        self.addCleanup(lambda: (os.close(fd), stuck.end()))
        victim, dmabuf = self.client(5), test_publish.make_dmabuf()
        null = os.open("/dev/null", os.O_RDWR)
        begin = time.monotonic()
        clients = self.as_each(100000)
        for _ in range(3):
            for client in clients:
                self.refused(22, test_publish.publish, client, "x", fd)
        for client in clients:
            client.send_raw(PUBLISHING, (fd,) * 253)
        for number in range(3):
            test_publish.publish(victim, f"mine-{number}", dmabuf)
            self.refused(22, test_publish.publish, victim, "x", null)
        self.assertLess(time.monotonic() - begin, 10)
        # Each has as many as one may have: what comes now isn't taken.
        for client in self.as_each(100000):
            client.send_raw(PUBLISHING, (fd,))
            self.hung_up(client, 5)
        test_publish.publish(victim, "last", dmabuf)
        os.close(null)
        os.close(dmabuf)


if __name__ == "__main__":
    daemon_case.main()
