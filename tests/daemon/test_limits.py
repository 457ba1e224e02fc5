#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd where its process or its journal is at its limits."""

import errno
import os
import signal
import struct
import time

import daemon_case
import p2pd_wire as wire


class FewDescriptors(daemon_case.DaemonCase):
    """The table of p2pd is full: at accept(), at recvmsg(), at the export."""

    OPTIONS = {"prefix": ("prlimit", "--nofile=32:32"),
               "environment": {"P2PD_EMULATED_DMABUF": "DMABUF"}}

    def fill(self) -> list[wire.Client]:
        """Connections until no more are taken; the last ones are in the queue."""
        clients = []
        while True:
            client = self.stranger()
            client.sock.settimeout(0.3)
            try:
                client.hello()
            except TimeoutError:
                client.close()
                return clients
            clients.append(client)

    def test_accept(self) -> None:
        """Accepting pauses, without spinning; it goes on where there is room again."""
        clients = self.fill()
        self.assertGreater(len(clients), 5)
        waiting = self.stranger()
        before = daemon_case.cpu_seconds(self.daemon.pid())
        time.sleep(1)
        self.assertLess(daemon_case.cpu_seconds(self.daemon.pid()) - before, 0.2)
        for client in clients:
            client.call(wire.STATUS)
        clients.pop().close()
        waiting.sock.settimeout(5)
        waiting.hello()
        waiting.close()
        for client in clients:
            client.close()
        self.still_serves()
        self.is_clean()

    def test_export(self) -> None:
        """No room for the DMABUF or for a pidfd is an answer, and nothing is left of it."""
        clients = self.fill()
        for client in clients:
            client.timeout = 5
            client.sock.settimeout(5)
            with self.assertRaises(wire.Refused) as caught:
                client.acquire()
            self.assertIn(caught.exception.error, (errno.EMFILE, errno.ENFILE))
            self.refused(errno.EMFILE, client.call, wire.STATS, bytes(8))
        self.assertEqual(clients[0].leases(), [])
        clients.pop().close()
        clients.pop().close()
        lease = self.until(lambda: self.try_acquire(clients[0]))
        clients[0].release(lease)
        for client in clients:
            client.close()
        self.still_serves()
        self.is_clean()

    @staticmethod
    def try_acquire(client: wire.Client) -> wire.Lease | None:
        """None while there is no room."""
        try:
            return client.acquire()
        except wire.Refused:
            return None

    def test_receive(self) -> None:
        """A DMABUF that finds no place ends the connection that sent it, no other."""
        clients = self.fill()
        dmabuf = os.memfd_create("dmabuf")
        os.write(dmabuf, b"DMABUF")
        clients[0].send_raw(wire.packet(wire.PUBLISH, bytes(80)), (dmabuf,))
        os.close(dmabuf)
        self.hung_up(clients[0])
        # What is no DMABUF needs none.
        with open(os.devnull, "rb") as null:
            self.refused(errno.EINVAL, clients[1].call, wire.PUBLISH, bytes(80), (null.fileno(),))
        for client in clients[1:]:
            client.call(wire.STATUS)
            client.close()
        clients[0].close()
        self.still_serves()
        self.is_clean()

    def test_reload(self) -> None:
        """Policy that can't be read for want of a descriptor changes nothing."""
        clients = self.fill()
        os.kill(self.daemon.pid(), signal.SIGHUP)
        time.sleep(0.3)
        for client in clients:
            client.call(wire.STATUS)
            client.close()
        self.still_serves()


class NoSpace(daemon_case.DaemonCase):
    """The journal can't grow: grants are refused, everything that ends one works."""

    LIMIT = 300001
    OPTIONS = {"prefix": ("prlimit", f"--fsize={LIMIT}:{LIMIT}")}

    def fill(self, client: wire.Client, nr_ranges: int = 0) -> list[wire.Lease]:
        """Leases until there is no room for more."""
        leases = []
        try:
            while True:
                begin = len(leases) * nr_ranges * 4096
                leases.append(client.acquire(
                    ranges=tuple((begin + i * 4096, 4096) for i in range(nr_ranges))))
        except wire.Refused as refused:
            self.assertEqual(refused.error, errno.ENOSPC, refused.cause)
        return leases

    def test_full(self) -> None:
        """Refused, and then renewed, released, restarted and granted again."""
        client = self.client()
        leases = self.fill(client)
        self.assertGreater(len(leases), 30)
        for _ in range(100):
            self.refused(errno.ENOSPC, client.acquire)
        self.assertEqual(len(self.daemon.exports()), len(leases))
        for lease in leases[::2]:
            client.release(lease)
        left = leases[1::2]
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        for lease in left:
            self.assertEqual(client.attach(lease).offset, lease.offset)
        self.assertEqual({lease.id for lease in client.leases()}, {lease.id for lease in left})
        self.first_pid = self.daemon.pid()
        self.assertTrue(self.fill(client))
        for lease in client.leases():
            client.call(wire.RELEASE, struct.pack("<Q", lease.id))
        client.close()
        self.until(lambda: self.status()[1] == 0)

    def test_many_ranges(self) -> None:
        """Nothing that happens to the largest leases needs more room than was kept for them."""
        client = self.client()
        held = self.fill(client, 32)
        self.assertGreater(len(held), 30)
        self.assertEqual(client.revoke(wire.SCOPE_ALL, deadline_ms=50000), (len(held), 0))
        self.refused(errno.ENOSPC, client.acquire)
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual({lease.state for lease in client.leases()}, {wire.REVOKING})
        for lease in held:
            client.attach(lease)
            client.receive()
            client.release(lease)
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual(client.leases(), [])
        self.assertNotIn("damaged", self.daemon.text())

    def test_again_and_again(self) -> None:
        """A full journal that is worked on, killed at each turn, never is a damaged one."""
        held: list[wire.Lease] = []
        for turn in range(8):
            client = self.daemon.reconnect()
            self.opened.append(client)
            for lease in held:
                client.attach(lease)
            held += self.fill(client)
            client.revoke(wire.SCOPE_LEASE, held[0].id, deadline_ms=50000)
            for lease in held[::3]:
                client.release(lease)
            held = [lease for i, lease in enumerate(held) if i % 3]
            self.assertEqual(len(client.leases()), len(held), f"turn {turn}")
            self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        for lease in held:
            client.release(client.attach(lease))
        self.assertNotIn("damaged", self.daemon.text())
        self.assertEqual(client.leases(), [])


class Growth(daemon_case.DaemonCase):
    """What one client can make p2pd keep."""

    OPTIONS = {"quiet": True}

    def test_journal(self) -> None:
        """Acquiring and releasing without end takes no more room than a while of it."""
        client = self.client()
        for _ in range(4000):
            client.release(client.acquire())
        for entry in os.scandir(f"/proc/{self.daemon.pid()}/fd"):
            if "p2pd-journal" in os.readlink(entry.path):
                self.assertLess(os.stat(entry.path).st_blocks * 512, 1 << 20)
                break
        else:
            self.fail("no journal")
        client.close()
        self.is_clean()


if __name__ == "__main__":
    daemon_case.main()
