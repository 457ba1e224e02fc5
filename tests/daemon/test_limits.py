#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd where its process, its memory or its users are at their limits."""

import errno
import os
import re
import resource
import select
import signal
import socket
import struct
import threading
import time

import daemon_case
import p2pd_wire as wire

ACQUIRE = wire.S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
        fields = handle.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
        before = cpu_seconds(self.daemon.pid())
        time.sleep(1)
        self.assertLess(cpu_seconds(self.daemon.pid()) - before, 0.2)
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


class ManyInFlight(daemon_case.DaemonCase):
    """The kernel lets a process have as many descriptors in flight as it may open."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY.replace("stall-time = 2s", "stall-time = 60s")
    # Nobody else's: what others of that user have in flight counts, too.
    USER = 20000 + os.getpid() % 40000
    OPTIONS = {"prefix": ("setpriv", f"--reuid={USER}", "--clear-groups", "prlimit",
                          "--nofile=40:40"),
               "owner": USER}

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root can start p2pd as somebody else")
        super().setUp()

    def test_no_spinning(self) -> None:
        """Answers wait for those before them to be read, and cost nothing meanwhile."""
        lazy = [self.client() for _ in range(4)]
        for client in lazy:
            for serial in range(16):
                client.send_raw(wire.packet(wire.ACQUIRE, ACQUIRE, 100 + serial))
        time.sleep(0.3)
        before = cpu_seconds(self.daemon.pid())
        time.sleep(1)
        self.assertLess(cpu_seconds(self.daemon.pid()) - before, 0.3)
        granted = 0
        left = {client.sock: [client, 16] for client in lazy}
        while left:
            # Whoever is served first: one may wait for what is on its way to the others.
            ready = select.select(list(left), [], [], 20)[0]
            self.assertTrue(ready)
            for sock in ready:
                answer = left[sock][0].receive()
                if answer[4] >= 0:
                    os.close(answer[4])
                    granted += 1
                left[sock][1] -= 1
                if not left[sock][1]:
                    del left[sock]
        self.assertGreater(granted, 40)
        for client in lazy:
            client.close()
        self.until(lambda: self.status()[1] == 0)
        self.still_serves()
        self.is_clean()


class DroppedInFlight(ManyInFlight):
    """What a peer hasn't read stays on its way when p2pd closes the connection, and counts as before."""

    test_no_spinning = None  # type: ignore[assignment]

    def test_others_get_theirs(self) -> None:
        """A user who has p2pd close one connection after the other has no more on the way than any."""
        self.daemon.config.write_text(self.POLICY.replace(
            "[daemon]", "[daemon]\nmax-unread-fds = 16\nmax-connections = 4"), encoding="utf-8")
        os.kill(self.daemon.pid(), signal.SIGHUP)
        self.until(lambda: "policy loaded" in self.daemon.text())

        def run() -> None:
            kept = []
            for _ in range(12):
                try:
                    client = self.daemon.client(3)
                    for serial in range(8):
                        client.send_raw(wire.packet(wire.STATS, bytes(8), 100 + serial))
                    client.send_raw(b"no message")
                except (EOFError, OSError):
                    pass
                kept.append(client)
                time.sleep(0.05)
            os.write(ready_write, b"x")
            os.read(over_read, 1)
        ready_read, ready_write = os.pipe()
        over_read, over_write = os.pipe()
        self.daemon.root.chmod(0o755)
        child = self.fork(run, 12345)
        os.read(ready_read, 1)
        self.still_serves()
        self.assertLess(len(self.daemon.fds()), self.before + 6)
        os.write(over_write, b"x")
        self.ends(child)
        for fd in (ready_read, ready_write, over_read, over_write):
            os.close(fd)
        self.is_clean()

        def again() -> None:
            client = self.daemon.client(3)
            for _ in range(20):
                os.close(client.call(wire.STATS, bytes(8))[1])
        self.as_user(12345, again)


class StartInFlight(ManyInFlight):
    """Too many descriptors are in flight when p2pd has its journal kept."""

    test_no_spinning = None  # type: ignore[assignment]

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root can start p2pd as somebody else")
        ready, read = os.pipe(), os.pipe()
        other = os.fork()
        if not other:
            os.setuid(self.USER)
            one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            socket.send_fds(one, [b"x"], [two.fileno()] * 60)
            os.write(ready[1], b"x")
            os.read(read[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        # What this asks for isn't there yet, either.
        threading.Timer(1, os.write, (read[1], b"x")).start()
        super().setUp()
        os.waitpid(other, 0)
        for fd in (*ready, *read):
            os.close(fd)

    def test_lease_outlives(self) -> None:
        """It is kept as soon as that is possible, and so is what is leased."""
        client = self.client()
        lease = client.acquire()
        self.assertNotIn("doesn't keep", self.daemon.text())
        self.daemon.kill()
        client = self.daemon.reconnect()
        self.opened.append(client)
        self.assertEqual(client.attach(lease).id, lease.id)
        client.release(lease)


class MetricsInFlight(ManyInFlight):
    """Metrics are for anybody, and whoever doesn't read them keeps nobody from a lease."""

    test_no_spinning = None  # type: ignore[assignment]
    OPTIONS = {"prefix": ("setpriv", f"--reuid={ManyInFlight.USER}", "--clear-groups", "prlimit",
                          "--nofile=128:128"),
               "owner": ManyInFlight.USER}

    def test_many_users(self) -> None:
        """Each within its limits, and together half of what may be in flight."""
        self.daemon.root.chmod(0o755)
        lazy = []
        for uid in range(100000, 100008):
            os.seteuid(uid)
            try:
                lazy += [self.client() for _ in range(4)]
            finally:
                os.seteuid(0)
        for client in lazy:
            for serial in range(16):
                client.send_raw(wire.packet(wire.STATS, bytes(8), 100 + serial))
        time.sleep(0.5)
        self.still_serves()
        os.close(self.client().call(wire.STATS, bytes(8))[1])
        granted = 0
        for client in lazy:
            for _ in range(16):
                _, _, error, _, fd = client.receive()
                self.assertIn(error, (0, -errno.EBUSY))
                granted += not error
                if fd >= 0:
                    os.close(fd)
        # More, if p2pd was too slow to come to all of them before the first were read.
        self.assertTrue(60 < granted < 128, granted)
        for client in self.opened:
            client.close()
        self.is_clean()

        def again() -> None:
            os.close(self.daemon.client(3).call(wire.STATS, bytes(8))[1])
        self.as_user(100000, again)


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
        before = cpu_seconds(self.first_pid)
        for _ in range(500):
            client.release(client.acquire())
        return cpu_seconds(self.first_pid) - before

    def test_leases(self) -> None:
        """100,000 of them, a restart, one more, a page of a list, and all taken back."""
        client = self.client(60)
        for _ in range(self.LEASES // 100):
            for serial in range(100):
                client.send_raw(wire.packet(wire.ACQUIRE, ACQUIRE, serial + 1))
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
        before = cpu_seconds(self.first_pid)
        for _ in range(1000):
            admin.call(wire.LEASES, wire.S_LIST.pack(0, b"", 4711, 0))
        self.assertLess(cpu_seconds(self.first_pid) - before, 2)
        # One's own cost the page, wherever it begins.
        first, last = admin.leases(uid=os.getuid())[::self.LEASES - 1]
        before = cpu_seconds(self.first_pid)
        for _ in range(200):
            reply, _ = admin.call(wire.LEASES, wire.S_LIST.pack(last.id - 1, b"", os.getuid(), 0))
        self.assertLess(cpu_seconds(self.first_pid) - before, 2)
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
