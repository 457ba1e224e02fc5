#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd with as many clients and as many leases as there may be."""

import os
import resource
import socket

import daemon_case
import p2pd_wire as wire


class Crowd(daemon_case.DaemonCase):
    """Many clients, many leases."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY.replace("hello-time = 1s", "hello-time = 60s")
    OPTIONS = {"bar": 1 << 30, "quiet": True}
    CLIENTS = 10000
    LEASES = 100000

    def test_clients(self) -> None:
        """10,000 connections; one more acquires and releases as cheaply as alone."""
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < self.CLIENTS + 200:
            self.skipTest(f"a process may open {hard} files only")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        quiet = self.client()
        alone = self.cost_of(quiet)
        crowd = []
        for _ in range(self.CLIENTS):
            one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            one.connect(self.daemon.path)
            one.send(wire.packet(wire.HELLO, wire.S_HELLO.pack(1, 1, 0, b"")))
            crowd.append(one)
        self.until(lambda: self.status()[0] == self.CLIENTS + 1, 30)
        with_all = self.cost_of(quiet)
        self.assertLess(with_all, alone * 3 + 0.1)
        for one in crowd:
            one.close()
        quiet.close()
        self.is_clean()

    def cost_of(self, client: wire.Client) -> float:
        """What 500 leases, one after the other, cost p2pd."""
        before = daemon_case.cpu_seconds(self.first_pid)
        for _ in range(500):
            client.release(client.acquire())
        return daemon_case.cpu_seconds(self.first_pid) - before

    def test_leases(self) -> None:
        """100,000 of them, a restart, one more, a page of a list, and all taken back."""
        client = self.client(60)
        for _ in range(self.LEASES // 100):
            for serial in range(100):
                client.send_raw(wire.packet(wire.ACQUIRE, wire.ACQUIRE_A_PAGE, serial + 1))
                if serial % 10 == 9:
                    self.read_answers(client, 10)
        self.assertEqual(self.status()[1], self.LEASES)
        self.daemon.kill()
        admin = self.daemon.reconnect(60)
        self.first_pid = self.daemon.pid()
        self.opened.append(admin)
        admin.sock.settimeout(60)
        self.assertEqual(self.status()[1], self.LEASES)
        self.still_serves()
        before = daemon_case.cpu_seconds(self.first_pid)
        for _ in range(1000):
            admin.call(wire.LEASES, wire.S_LIST.pack(0, b"", 4711, 0))
        self.assertLess(daemon_case.cpu_seconds(self.first_pid) - before, 2)
        # One's own cost the page, wherever it begins.
        first, last = admin.leases(uid=os.getuid())[::self.LEASES - 1]
        before = daemon_case.cpu_seconds(self.first_pid)
        for _ in range(200):
            reply, _ = admin.call(wire.LEASES, wire.S_LIST.pack(last.id - 1, b"", os.getuid(), 0))
        self.assertLess(daemon_case.cpu_seconds(self.first_pid) - before, 2)
        self.assertEqual(wire.S_LIST_REPLY.unpack(reply[:16])[:2], (0, 1))
        self.assertEqual(last.id - first.id, self.LEASES - 1)
        self.assertEqual(admin.revoke(), (self.LEASES, 0))
        self.assertEqual(self.status()[1], 0)
        admin.close()
        self.is_clean()

    @staticmethod
    def read_answers(client: wire.Client, count: int) -> None:
        """Each with a descriptor."""
        for _ in range(count):
            answer = client.receive()
            assert not answer[2]
            os.close(answer[4])


if __name__ == "__main__":
    daemon_case.main()
