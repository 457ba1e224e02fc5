#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What one user may have, and all of them together: connections, leases, lines, time."""

import errno
import os
import re
import time

import daemon_case
import p2pd_wire as wire


class Quotas(daemon_case.DaemonCase):
    """What one user may have."""

    POLICY = """
[daemon]
reattach-time = 1s
max-connections = 5
max-leases = 3
max-bytes = 64K
requests-per-second = 50
requests-burst = 60

[rule everybody]
allow = yes
"""

    def test_user(self) -> None:
        """Connections, leases, bytes; beyond them one is told so."""
        def run() -> None:
            first = self.daemon.client()
            rest = [wire.Client(self.daemon.path).hello() for _ in range(4)]
            sixth = wire.Client(self.daemon.path)
            self.hung_up_or_refused(sixth)
            leases = [first.acquire() for _ in range(3)]
            self.refused(errno.EDQUOT, rest[0].acquire)
            rest[0].close()
            first.release(leases.pop())
            self.refused(errno.EDQUOT, first.acquire, 128 << 10)
            first.release(leases.pop())
        self.as_user(12345, run)
        self.until(lambda: self.status()[1] == 0)
        self.is_clean()

    def hung_up_or_refused(self, client: wire.Client) -> None:
        """The daemon closes it without reading."""
        try:
            client.hello()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        raise AssertionError("one connection too many")

    def test_rate(self) -> None:
        """60 at once and then 50 a second; a new connection doesn't begin anew."""
        def run() -> None:
            begin = time.monotonic()
            for _ in range(4):
                client = self.daemon.client()
                for _ in range(29):
                    client.call(wire.STATUS)
                client.close()
            elapsed = time.monotonic() - begin
            assert 0.9 < elapsed < 6, elapsed
        self.as_user(12345, run)
        self.still_serves()
        self.is_clean()


class Audit(daemon_case.DaemonCase):
    """The lines that one user can have written."""

    def test_grants_of_one_user(self) -> None:
        """100 lines, and the sum of all others; nothing is missing in the end."""
        def run() -> None:
            client = self.daemon.client()
            for _ in range(500):
                client.release(client.acquire())
        self.as_user(12345, run)
        client = self.client()
        client.release(client.acquire())
        self.daemon.process.terminate()
        self.daemon.process.wait(20)
        text = self.daemon.text()
        told = [line for line in text.splitlines() if " uid=12345 " in line]
        self.assertLess(len(told), 130)
        counted = {"granted": 0, "ended": 0}
        for line in told:
            word = line.split()[2]
            if word == "left-out":
                for name, value in re.findall(r"(granted|ended)=(\d+)", line):
                    counted[name] += int(value)
                self.assertRegex(line, r"granted-bytes=[1-9]\d*")
            else:
                counted[word] += 1
        self.assertEqual(counted, {"granted": 500, "ended": 500})
        self.assertIn("audit granted lease=501 ", text)

    def test_forged_lines(self) -> None:
        """What a client calls its lease doesn't pass for what p2pd says about it."""
        client = self.client()
        forged = 'x" reason=admin error= rule="\\'
        client.release(client.acquire(label=forged))
        line = self.until(lambda: [text for text in self.daemon.text().splitlines()
                                   if "audit granted" in text])[0]
        found = re.findall(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|\S*)', line)
        values = dict(found)
        self.assertEqual(len(values), len(found), line)
        self.assertEqual(values["reason"], "none")
        self.assertEqual(re.sub(r"\\(.)", r"\1", values["label"][1:-1]), forged)
        client.close()

    def test_denials_of_two_users(self) -> None:
        """20 lines each and the sum of all others, whatever the other one does at the same time."""
        if os.getuid() != 0:
            self.skipTest("only root can be another user")

        def run() -> None:
            client = self.daemon.client()
            for _ in range(300):
                self.refused(errno.ENODEV, client.acquire, selector="0000:07:00.0/1")
        self.daemon.root.chmod(0o755)
        # 64 apart, and 256.
        users = (12345, 12345 + 64, 12345 + 256)
        for child in [self.fork(run, uid) for uid in users]:
            self.ends(child)
        self.daemon.process.terminate()
        self.daemon.process.wait(20)
        text = self.daemon.text()
        for uid in users:
            told = [line for line in text.splitlines() if f" uid={uid} " in line]
            denied = sum("audit denied" in line for line in told)
            self.assertTrue(20 <= denied < 60, denied)
            left_out = re.findall(r"audit left-out .* denied=(\d+)", "\n".join(told))
            self.assertEqual(denied + sum(map(int, left_out)), 300)


class Reserve(daemon_case.DaemonCase):
    """Many users, each within its limits, have all connections that there are for users."""

    OPTIONS = {"prefix": ("prlimit", "--nofile=128:128")}

    def test_administrator_gets_in(self) -> None:
        """And may take back; and who is there has room for a lease."""
        if os.getuid() != 0:
            self.skipTest("only root can be many users")
        self.daemon.root.chmod(0o755)
        clients = []
        for uid in range(100000, 100200):
            os.seteuid(uid)
            try:
                clients.append(self.daemon.client(2))
            except (EOFError, ConnectionResetError, BrokenPipeError, TimeoutError):
                break
            finally:
                os.seteuid(0)
        self.opened += clients
        self.assertLess(len(clients), 120)
        self.assertGreater(len(clients), 60)
        lease = clients[0].acquire()
        admin = self.client(5)
        self.assertTrue(admin.is_admin)
        admin.revoke(wire.SCOPE_UID, uid=100000, deadline_ms=0)
        self.assertEqual(clients[0].event(wire.EVENT_REVOKED).lease_id, lease.id)
        os.close(lease.fd)
        for client in clients:
            client.call(wire.STATUS)
        clients[1].close()
        os.seteuid(100300)
        try:
            self.until(self.comes_in)
        finally:
            os.seteuid(0)

    def comes_in(self) -> bool:
        """There is room for a user more."""
        try:
            self.daemon.client(2).close()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return False
        return True


class ManyUsers(daemon_case.DaemonCase):
    """What they have in all, they have in the metrics as well."""

    def test_length_of_metrics(self) -> None:
        """As many users as one can be don't make a text that p2pd takes long to write."""
        if os.getuid() != 0:
            self.skipTest("only root can be many users")
        self.daemon.root.chmod(0o755)
        for uid in range(100000, 100300):
            os.seteuid(uid)
            try:
                self.client()
            finally:
                os.seteuid(0)
        with os.fdopen(self.client().call(wire.STATS, bytes(8))[1], "rb") as handle:
            text = handle.read().decode()
        used = re.findall(r'^p2pd_user_used\{uid="(\d+)",kind="connections"\} (\d+)$', text, re.M)
        self.assertEqual(len(used), 257)
        self.assertEqual(used[-1][0], str(2**32 - 1))
        self.assertEqual(sum(int(count) for _uid, count in used), 301)
        for client in self.opened:
            client.close()
        self.is_clean()


if __name__ == "__main__":
    daemon_case.main()
