#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Administration: taking back in each scope, draining, expiry, and policies that change."""

import errno
import json
import os
import re
import signal
import struct
import subprocess
import time

import daemon_case
import p2pd_run
import p2pd_wire as wire

OPEN = p2pd_run.DEFAULT_POLICY


class Revoking(daemon_case.DaemonCase):
    """By whom, of whom, and by when."""

    def test_scopes(self) -> None:
        """One lease, a provider, a user, all; what isn't meant stays."""
        client, admin = self.client(), self.client()
        leases = [client.acquire() for _ in range(4)]
        self.assertEqual(admin.revoke(wire.SCOPE_LEASE, leases[0].id), (1, 0))
        self.assertEqual(client.event(wire.EVENT_REVOKED).lease_id, leases[0].id)
        self.assertEqual(admin.revoke(wire.SCOPE_UID, uid=4711), (0, 0))
        self.refused(errno.ENODEV, admin.revoke, wire.SCOPE_PROVIDER, 0, "0000:09:00.0/1")
        self.refused(errno.ESTALE, admin.revoke, wire.SCOPE_LEASE, leases[0].id)
        self.refused(errno.ENOENT, admin.revoke, wire.SCOPE_LEASE, 1 << 40)
        self.refused(errno.ENOENT, admin.revoke, wire.SCOPE_LEASE, 0)
        self.assertEqual(len(admin.leases()), 3)
        self.assertEqual(admin.revoke(wire.SCOPE_PROVIDER, selector="0000:01:00.0/2"), (3, 0))
        self.assertEqual({client.event(wire.EVENT_REVOKED).reason for _ in range(3)}, {4})
        client.acquire()
        self.assertEqual(admin.revoke(wire.SCOPE_UID, uid=os.getuid()), (1, 0))
        client.acquire()
        self.assertEqual(admin.revoke(wire.SCOPE_ALL), (1, 0))
        self.assertEqual(admin.revoke(wire.SCOPE_ALL), (0, 0))
        for each in (client, admin):
            each.close()
        self.is_clean()

    def test_nearer_never_farther(self) -> None:
        """A second revocation may shorten the time, not prolong it."""
        client, admin = self.client(), self.client()
        lease = client.acquire()
        admin.revoke(deadline_ms=50000)
        first = client.attach(lease).deadline_ns
        admin.revoke(deadline_ms=60000)
        self.assertEqual(client.attach(lease).deadline_ns, first)
        self.refused(errno.ESTALE, client.renew, lease, 1000)
        admin.revoke(deadline_ms=300)
        self.assertLess(client.attach(lease).deadline_ns, first)
        self.assertEqual(client.event(wire.EVENT_REVOKED).lease_id, lease.id)
        self.assertLess(time.monotonic_ns(), first)
        for each in (client, admin):
            each.close()
        self.is_clean()

    def test_drain(self) -> None:
        """No new ones, the old ones end; off again, they come."""
        client, admin = self.client(), self.client()
        lease = client.acquire()
        self.assertEqual(admin.drain("0000:01:00.0/2", True, 60000), (1, 0))
        event = client.event(wire.EVENT_REVOKE_REQUESTED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, 5))
        self.assertIn("drained", self.refused(errno.EBUSY, client.acquire))
        client.release(lease)
        self.refused(errno.ENODEV, admin.drain, "0000:09:00.0/1", True)
        self.assertEqual(admin.drain("*", False), (0, 0))
        client.release(client.acquire())
        for each in (client, admin):
            each.close()
        self.is_clean()

    def test_expiry_and_renewal(self) -> None:
        """Renewed it lives, otherwise it is asked for and taken."""
        client = self.client()
        lease = client.acquire(ttl_ms=1500)
        for _ in range(5):
            time.sleep(0.4)
            self.assertGreater(client.renew(lease, 1500), time.monotonic_ns())
        event = client.event(wire.EVENT_REVOKE_REQUESTED)
        self.assertEqual((event.lease_id, event.reason), (lease.id, 3))
        deadline = wire.S_EVENT.unpack(event.body)[5]
        self.assertEqual(client.event(wire.EVENT_REVOKED).reason, 3)
        self.assertGreaterEqual(time.monotonic_ns(), deadline)
        os.close(lease.fd)
        client.close()
        self.is_clean()

    def test_expires_across_kills(self) -> None:
        """A deadline is kept by the next p2pd."""
        client = self.client()
        lease = client.acquire(ttl_ms=4000)
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual(client.attach(lease).expires_ns, lease.expires_ns)
        self.assertEqual(client.event(wire.EVENT_REVOKED).lease_id, lease.id)
        self.assertGreaterEqual(time.monotonic_ns(), lease.expires_ns)

    def test_lists(self) -> None:
        """Pages without gaps or doubles while leases come and go; tokens in none."""
        client, other = self.client(), self.client()
        held = [client.acquire() for _ in range(200)]
        ids: list[int] = []
        cursor = 0
        while True:
            reply, _ = client.call(wire.LEASES, wire.S_LIST.pack(cursor, b"", wire.ALL_USERS, 0))
            cursor, count, size = wire.S_LIST_REPLY.unpack(reply[:16])
            page = [wire.Lease.parse(reply[16 + i * size:]) for i in range(count)]
            ids += [lease.id for lease in page]
            self.assertEqual({lease.token for lease in page}, {bytes(16)})
            if not cursor:
                break
            other.release(other.acquire())
            if held[0].id in ids:
                client.release(held.pop(0))
        self.assertEqual(sorted(set(ids)), ids)
        self.assertLessEqual({lease.id for lease in held}, set(ids))
        for each in (client, other):
            each.close()

    def test_watching(self) -> None:
        """Statistics and the dump are sealed texts; SIGUSR1 writes the dump to the log."""
        client = self.client()
        lease = client.acquire(label='quo"te\\')
        time.sleep(0.1)
        _, fd = client.call(wire.STATS, bytes(8))
        with os.fdopen(fd, "rb") as handle:
            with self.assertRaises(OSError):
                os.pwrite(fd, b"x", 0)
            self.assertIn(b"p2pd_leases 1\n", handle.read())
        _, fd = client.call(wire.STATS, struct.pack("<II", 1, 0))
        with os.fdopen(fd, "rb") as handle:
            dump = json.load(handle)
        self.assertEqual(dump["leases"][0]["label"], 'quo"te\\')
        self.assertNotIn(lease.token.hex(), json.dumps(dump))
        os.kill(self.first_pid, signal.SIGUSR1)
        self.until(lambda: '"schema":"p2pd-dump"' in self.daemon.text())
        client.release(lease)
        client.close()
        self.is_clean()

    def test_statistics_are_not_hoarded(self) -> None:
        """Who asks again and again, and keeps what comes, costs one text a moment, not each."""
        client = self.client()
        inodes = set()
        fds = []
        for _ in range(300):
            _, fd = client.call(wire.STATS, bytes(8))
            inodes.add(os.fstat(fd).st_ino)
            fds.append(fd)
        self.assertLess(len(inodes), 10)
        os.lseek(fds[0], 10, os.SEEK_SET)
        self.assertEqual(os.lseek(fds[1], 0, os.SEEK_CUR), 0)
        for fd in fds:
            os.close(fd)
        client.close()
        self.is_clean()


class Policies(daemon_case.DaemonCase):
    """SIGHUP."""

    def load(self, text: str) -> None:
        """Another policy, and the time it takes."""
        before = self.generation()
        self.daemon.config.write_text(text, encoding="utf-8")
        os.kill(self.daemon.pid(), signal.SIGHUP)
        self.until(lambda: self.generation() > before)

    def generation(self) -> int:
        """Counts what was loaded."""
        client = self.daemon.client()
        reply, _ = client.call(wire.STATUS)
        client.close()
        return int(wire.S_STATUS.unpack(reply)[7])

    def test_bad_file(self) -> None:
        """Changes nothing, and is said with file and line."""
        client, monitor = self.client(), self.client()
        monitor.call(wire.MONITOR, struct.pack("<II", 1, 0))
        lease = client.acquire()
        monitor.event(wire.EVENT_MONITOR)
        before = self.generation()
        bad_ones = ("[daemon]\nno-such-key = 1\n", "[rule\n", "\xff\xfe", "[rule x]\nallow = 7\n")
        for count, bad in enumerate(bad_ones, 1):
            self.daemon.config.write_text(bad, encoding="utf-8")
            os.kill(self.first_pid, signal.SIGHUP)
            self.until(lambda n=count:
                       self.daemon.text().count("the new policy is not used") == n)
        self.assertEqual(self.generation(), before)
        self.assertIn(f"{self.daemon.config}:2", self.daemon.text())
        client.release(lease)
        # A file that got lost is no policy either.
        self.daemon.config.unlink()
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: self.daemon.text().count("the new policy is not used") == 5)
        self.assertIn(f"{self.daemon.config}: was there and is gone", self.daemon.text())
        self.assertEqual(self.generation(), before)
        self.until(lambda: self.refusals() == (5, 1, 5))
        for _ in range(5):
            # The policy's: no lease, an errno.
            event = monitor.event(wire.EVENT_MONITOR)
            while event.lease_id:
                event = monitor.event(wire.EVENT_MONITOR)
            self.assertEqual(event.reason, 10)
            self.assertLess(wire.S_MONITOR.unpack(event.body)[6], 0)
        self.load(OPEN)
        self.until(lambda: self.refusals() == (0, 0, 5))
        client.close()
        monitor.close()
        self.still_serves()

    def refusals(self) -> tuple[int, int, int]:
        """Since the last policy, by STATUS; now and in all, by the metrics."""
        client = self.daemon.client()
        reply, _ = client.call(wire.STATUS)
        _, fd = client.call(wire.STATS, bytes(8))
        client.close()
        text = os.pread(fd, 1 << 20, 0).decode()
        os.close(fd)
        return (wire.S_STATUS.unpack(reply)[9],
                *(int(re.findall(rf"^p2pd_policy_{name} (\d+)$", text, re.M)[0])
                  for name in ("reload_failed", "reloads_failed_total")))
        self.is_clean()

    def test_forbidden_leases(self) -> None:
        """Are taken back gracefully; others of the same user stay."""
        client = self.client()
        small, large = client.acquire(4096), client.acquire(1 << 20)
        self.load(OPEN.replace("allow = yes", "allow = yes\nmax-lease-bytes = 64K"))
        event = client.event(wire.EVENT_REVOKE_REQUESTED)
        self.assertEqual((event.lease_id, event.reason), (large.id, 6))
        self.assertEqual(client.event(wire.EVENT_REVOKED).lease_id, large.id)
        self.refused(errno.EDQUOT, client.acquire, 1 << 20)
        self.assertEqual([lease.id for lease in client.leases()], [small.id])
        client.release(small)
        client.close()
        self.is_clean()

    def test_forbidden_across_a_restart(self) -> None:
        """A policy that changed while p2pd was away is applied when the holder is back."""
        client = self.client()
        lease = client.acquire(1 << 20)
        self.daemon.config.write_text(
            OPEN.replace("allow = yes", "allow = yes\nmax-lease-bytes = 64K"), encoding="utf-8")
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual(client.attach(lease).state, wire.REVOKING)
        self.assertEqual(client.event(wire.EVENT_REVOKE_REQUESTED).reason, 6)
        self.assertEqual(client.event(wire.EVENT_REVOKED).reason, 6)

    def test_first_rule_by_cgroup(self) -> None:
        """Judges who has leases by where they are, not as somebody of whom nothing is known."""
        client = self.client()
        lease = client.acquire()
        elsewhere = "[rule elsewhere]\nallow = no\ncgroup = /no-such.slice/**\n"
        self.load(OPEN.replace("[rule everybody]", elsewhere + "[rule everybody]"))
        self.assertEqual([found.state for found in client.leases()], [wire.ACTIVE])
        client.release(client.acquire())
        self.load(OPEN.replace("allow = yes", "allow = no\ncgroup = **"))
        self.assertEqual(client.event(wire.EVENT_REVOKE_REQUESTED).lease_id, lease.id)
        self.refused(errno.EACCES, client.acquire)
        client.close()
        self.is_clean()

    def test_many_reloads(self) -> None:
        """A storm of them, under load, ends with the last one."""
        client = self.client()
        for _ in range(100):
            os.kill(self.first_pid, signal.SIGHUP)
            client.release(client.acquire())
        self.daemon.config.write_text(OPEN.replace("everybody", "another"), encoding="utf-8")
        os.kill(self.first_pid, signal.SIGHUP)

        def is_last() -> bool:
            # Reloads of the storm may still be ending, with what they have read.
            client.release(client.acquire())
            return 'rule="another"' in self.daemon.text()
        self.until(is_last)
        client.close()
        self.until(lambda: self.status()[0] == 0)

    def test_other_users(self) -> None:
        """Only who is allowed, with what is allowed."""
        self.load(OPEN.replace("allow = yes", "allow = yes\nuser = 12345\nmode = shared"))

        def allowed() -> None:
            client = self.daemon.client()
            self.refused(errno.EACCES, client.acquire)
            lease = client.acquire(mode=wire.SHARED)
            assert lease.uid == 12345
            client.release(lease)
            assert not client.is_admin
        self.as_user(12345, allowed)

        def denied() -> None:
            client = self.daemon.client()
            self.refused(errno.EACCES, client.acquire, mode=wire.SHARED)
            asked = wire.S_POLICY.pack(b"*", b"", 12345, 0, 2, 3, 0, 0, 4096, 0)
            self.refused(errno.EPERM, client.call, wire.POLICY_TEST, asked)
            asked = wire.S_POLICY.pack(b"*", b"", 54321, 0, 2, 3, 0, 0, 4096, 0)
            reply, _ = client.call(wire.POLICY_TEST, asked)
            assert wire.S_POLICY_REPLY.unpack(reply)[0] == -errno.EACCES
        self.as_user(54321, denied)
        self.is_clean()

    def sleeper(self, uid: int, groups: list[int]) -> int:
        """A process of this user, in these groups; the first is its own."""
        ready_read, ready_write = os.pipe()

        def run() -> None:
            os.setgroups(groups[1:])
            os.setgid(groups[0])
            os.setuid(uid)
            os.write(ready_write, b"x")
            time.sleep(60)
        child = self.fork(run)
        os.close(ready_write)
        self.assertEqual(os.read(ready_read, 1), b"x")
        os.close(ready_read)
        return child

    def test_policy_of_a_process(self) -> None:
        """p2pctl asks about one as it runs: groups that its user hasn't, and where it is."""
        if os.getuid() != 0:
            self.skipTest("only root can be another user")
        with open("/proc/self/cgroup", encoding="ascii") as handle:
            place = next((line[3:-1] for line in handle if line.startswith("0::")), "")
        self.daemon.config.write_text(
            "[rule some]\ngroup = 4712\nallow = yes\n"
            f"[rule here]\nuser = 4713\ncgroup = {place}\nallow = yes\n", encoding="ascii")
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: "policy loaded" in self.daemon.text())
        cases = [((4711, [1, 4712, 6]), "some", 0), ((4711, [4712]), "some", 0),
                 ((4711, [5, 6]), "default", 4), ((0, [0, 4712]), "some", 0)]
        if 0 < len(place) < 96:
            cases.append(((4713, [5]), "here", 0))
        for who, rule, code in cases:
            done = subprocess.run(
                [str(daemon_case.BUILD / "cli/p2pctl"), "--json", "policy", "test", "--pid",
                 str(self.sleeper(*who)), p2pd_run.PROVIDER], check=False, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=dict(os.environ, P2PDMA_SOCKET=self.daemon.path))
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertEqual(json.loads(done.stdout)["policy"][0]["rule"], rule)
        self.is_clean()


if __name__ == "__main__":
    daemon_case.main()
