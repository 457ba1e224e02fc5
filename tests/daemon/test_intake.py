#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Descriptors that come to p2pd where it can't hand them on at once: nobody's request is lost for that, nor is
what was counted against a user forgotten."""

import errno
import os
import socket
import time

import daemon_case
import p2pd_run
import p2pd_wire as wire

# Nobody else's: what others of that user have in flight counts, too.
USER = 20000 + os.getpid() % 40000
MOST = 64


class NoRoomInFlight(daemon_case.DaemonCase):
    """Others of p2pd's user have as many descriptors in flight as the kernel lets p2pd have."""

    POLICY = p2pd_run.DEFAULT_POLICY + p2pd_run.PUBLISHERS
    OPTIONS = {"prefix": ("setpriv", f"--reuid={USER}", "--clear-groups", "prlimit",
                          f"--nofile={MOST}:{MOST}"),
               "owner": USER, "environment": {"P2PD_EMULATED_DMABUF": "DMABUF"}}

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root can start p2pd as somebody else")
        super().setUp()

    def fill(self) -> int:
        """From now on, until what this returns is closed."""
        ready, over = os.pipe(), os.pipe()

        def run() -> None:
            os.close(over[1])
            one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            # No socket: one that is in flight to itself stays there until the kernel looks for such.
            socket.send_fds(one, [b"x"], [over[0]] * (MOST + 20))
            os.write(ready[1], b"x")
            os.read(over[0], 1)
            two.close()

        self.fork(run, USER)
        os.read(ready[0], 1)
        for fd in (*ready, over[0]):
            os.close(fd)
        return over[1]

    def publish(self, client: wire.Client) -> None:
        """The answer isn't read here."""
        fd = os.memfd_create("dmabuf")
        os.write(fd, b"DMABUF" + bytes(4090))
        client.serial += 1
        client.send_raw(wire.packet(wire.PUBLISH, wire.S_PUBLISH.pack(
            b"name", wire.SHARED, wire.READ, wire.ALL_USERS, wire.ALL_USERS), client.serial), (fd,))
        os.close(fd)

    def test_waits(self) -> None:
        """Requests with descriptors are answered when there is room, and the porter is the same."""
        clients = [self.client() for _ in range(3)]
        porters = self.porters()
        over = self.fill()
        for client in clients:
            self.publish(client)
        time.sleep(1)
        # Whoever brings none doesn't wait.
        self.client().call(wire.STATUS)
        os.close(over)
        errors = []
        for client in clients:
            opcode, _, error, _, fd = client.receive()
            self.assertEqual((opcode, fd), (wire.PUBLISH | wire.REPLY, -1))
            errors.append(-error)
        # One of them has the name.
        self.assertEqual(sorted(errors), [0, errno.EBUSY, errno.EBUSY])
        self.assertEqual(self.porters(), porters)

    def porters(self) -> list[int]:
        """Their pids."""
        pid = self.daemon.pid()
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as handle:
            return [int(word) for word in handle.read().split()]


if __name__ == "__main__":
    daemon_case.main()
