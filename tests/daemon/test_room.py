#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pd's descriptors as a whole, where somebody is as many users as there are uids: administrators get in,
see and take back, and whoever is refused is told what there is no room for."""

import errno
import os
import re
import signal
import struct
import time

import daemon_case
import p2pd_run
import p2pd_wire as wire

FIRST_UID = 100000
MOST = 256
# One of 32 is for administrators.
FOR_USERS = MOST - MOST // 32


class RoomCase(daemon_case.DaemonCase):
    """As root, which can be everybody."""

    OPTIONS = {"prefix": ("prlimit", f"--nofile={MOST}:{MOST}"),
               "environment": {"P2PD_EMULATED_DMABUF": "DMABUF"}}
    POLICY = p2pd_run.DEFAULT_POLICY.replace("reattach-time = 5s", "reattach-time = 60s") + \
        p2pd_run.PUBLISHERS

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("only root can be many users")
        super().setUp()
        self.daemon.root.chmod(0o755)

    def metrics(self, client: wire.Client) -> str:
        """As text."""
        with os.fdopen(client.call(wire.STATS, bytes(8))[1], "rb") as handle:
            return handle.read().decode()

    def is_refused_for(self, refused: wire.Refused, what: str, kind: str) -> None:
        """With what, the limit, and who to ask; and administrators have room."""
        self.assertEqual(refused.error, errno.EDQUOT, refused.cause)
        self.assertIn(f"no room {what}: all users together have {FOR_USERS} of its {MOST} "
                      "descriptors", refused.cause)
        self.assertIn("LimitNOFILE=", refused.cause)
        admin = self.client(5)
        self.assertTrue(admin.is_admin)
        admin.release(admin.acquire())
        found = re.search(rf'p2pd_refused_for_room_total{{kind="{kind}"}} (\d+)',
                          self.metrics(admin))
        self.assertTrue(found and int(found[1]))


class Holders(RoomCase):
    """Processes that are watched, also those whose connection is lost."""

    def full(self) -> tuple[list[wire.Client], list[wire.Lease], wire.Refused]:
        """Connections with a holder each, until none can be watched; leases of holders without one."""
        clients, leases = [], []
        watching = self.client()
        for number in range(90):
            with daemon_case.user(FIRST_UID + number // 50):
                clients.append(self.client())
        try:
            while len(leases) < MOST:
                with daemon_case.user(FIRST_UID):
                    client = self.stranger()
                leases.append(client.hello().acquire())
                os.close(leases[-1].fd)
                leases[-1].fd = -1
                client.close()
        except (EOFError, ConnectionResetError, BrokenPipeError, wire.Refused):
            # One that hung up may still be counted.
            pass
        # Then nothing is given back by itself any more.
        self.until(lambda: wire.S_STATUS.unpack(watching.call(wire.STATUS)[0])[2] <=
                   len(clients) + 2)
        time.sleep(0.1)
        try:
            for client in clients:
                os.close(client.acquire().fd)
        except wire.Refused as refused:
            return clients, leases, refused
        raise AssertionError("nobody was refused")

    def test_administrator_gets_in(self) -> None:
        """And ends them, and then there is room again."""
        clients, _, refused = self.full()
        self.is_refused_for(refused, "to watch another holder of leases", "holders")
        admin = self.client(5)
        held = len(admin.leases())
        self.assertGreater(held, FOR_USERS // 2)
        self.assertEqual(admin.revoke(wire.SCOPE_ALL), (held, 0))
        os.close(clients[-1].acquire().fd)

    def test_is_taken_up(self) -> None:
        """What is there already may be, also without room for anything new."""
        clients, leases, _ = self.full()
        client = clients[49]
        self.refused(errno.EDQUOT, client.acquire)
        lease = client.attach(leases[0])
        self.assertEqual(lease.state, wire.ACTIVE)
        client.release(leases[0])


class Crowd(RoomCase):
    """So many connections that what else p2pd has for each of them could fill its table."""

    POLICY = RoomCase.POLICY.replace("stall-time = 2s", "stall-time = 60s")

    def crowd(self, count: int) -> list[wire.Client]:
        """Of users with 50 each."""
        clients = []
        for number in range(count):
            with daemon_case.user(FIRST_UID + number // 50):
                clients.append(self.client())
        return clients

    def has_room(self) -> wire.Client:
        """For administrators."""
        admin = self.client(5)
        self.assertTrue(admin.is_admin)
        admin.release(admin.acquire())
        # Its own are a connection, and itself.
        self.assertLessEqual(len(self.daemon.fds()), MOST - MOST // 64 + 2)
        return admin

    def test_nothing_to_take_up(self) -> None:
        """Who guesses at leases isn't watched."""
        for client in self.crowd(180):
            self.refused(errno.ENOENT, client.call, wire.ATTACH, struct.pack("<Q16s", 77, b"guess"))
        self.has_room()

    def test_all_taken_up(self) -> None:
        """Leases of one process, taken up by one connection each."""
        with daemon_case.user(FIRST_UID):
            holder = self.client()
        leases = [holder.acquire() for _ in range(180)]
        for lease in leases:
            os.close(lease.fd)
        holder.close()
        clients, refused = [], 0
        for lease in leases:
            with daemon_case.user(FIRST_UID):
                clients.append(self.client())
            self.until(lambda: self.status()[0] == len(clients))
        for client, lease in zip(clients, leases):
            try:
                client.attach(lease)
            except wire.Refused as reason:
                # As when p2pd hasn't noticed yet that the connection was lost: worth another try.
                self.assertEqual(reason.error, errno.EBUSY, reason.cause)
                self.assertIn("no room to watch another holder", reason.cause)
                refused += 1
        self.assertTrue(refused)
        admin = self.has_room()
        self.assertEqual(admin.revoke(wire.SCOPE_ALL), (180, 0))

    def test_queues(self) -> None:
        """What waits to be sent is in p2pd's table."""
        clients = self.crowd(130)
        for client in (*clients[:4], *clients[50:54]):
            try:
                for serial in range(600):
                    client.send_raw(wire.packet(wire.STATUS, b"", 1 + serial))
                for serial in range(16):
                    client.send_raw(wire.packet(wire.STATS, bytes(8), 1001 + serial))
            except (BrokenPipeError, ConnectionResetError):
                # There was no room for what it is to be sent.
                pass
        self.until(lambda: "it doesn't read its answers" in self.daemon.text())
        self.has_room()


class Publications(RoomCase):
    """DMABUFs that p2pd has for publishers."""

    def test_many(self) -> None:
        """Each has as many as one may."""
        def publish(client: wire.Client, number: int) -> None:
            for i in range(50):
                fd = os.memfd_create("dmabuf")
                os.write(fd, b"DMABUF" + bytes(4090))
                try:
                    client.call(wire.PUBLISH, wire.S_PUBLISH.pack(
                        f"name-{number}-{i}".encode(), wire.SHARED, wire.READ, wire.ALL_USERS,
                        wire.ALL_USERS), (fd,))
                finally:
                    os.close(fd)

        with self.assertRaises(wire.Refused) as caught:
            for number in range(MOST // 50 + 1):
                with daemon_case.user(FIRST_UID + number):
                    client = self.client()
                publish(client, number)
        self.is_refused_for(caught.exception, "for another publication", "publications")


class Unread(RoomCase):
    """Leases' descriptors that lie in sockets; the kernel counts them for p2pd as a whole."""

    # Nobody else's: what others of that user have in flight counts, too.
    USER = 20000 + os.getpid() % 40000
    OPTIONS = {"prefix": ("setpriv", f"--reuid={USER}", "--clear-groups", "prlimit",
                          f"--nofile={MOST}:{MOST}"),
               "owner": USER}

    def test_many(self) -> None:
        """Those of users are refused before the kernel lets no more in flight."""
        request = wire.S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0)
        lazy = []
        for number in range(40):
            with daemon_case.user(FIRST_UID + number // 4):
                lazy.append(self.client())
        for client in lazy:
            for serial in range(16):
                client.send_raw(wire.packet(wire.ACQUIRE, request, 100 + serial))
        self.until(lambda: self.status()[1] >= FOR_USERS)
        admin = self.client(5)
        lease = admin.acquire()
        self.assertIn(f"p2pd_descriptors_unread_most {FOR_USERS}\n", self.metrics(admin))
        causes, granted = set(), 0
        for client in lazy:
            for _ in range(16):
                _, _, error, body, fd = client.receive()
                if error:
                    causes.add((error, wire.text(body[:240])))
                else:
                    granted += 1
                    os.close(fd)
        self.assertEqual(len(causes), 1, causes)
        refused = wire.Refused(*causes.pop())
        self.is_refused_for(refused, "for another lease on its way", "unread")
        admin.release(lease)
        # Nobody has looked yet who has read what: it is looked at when somebody wants more.
        with daemon_case.user(FIRST_UID + 1000):
            other = self.client()
        other.release(other.acquire())
        for client in (*lazy, other):
            client.close()
        # This text, and perhaps the last one of the other administrator's connection.
        self.until(lambda: self.unread(admin) in ((1, 1), (2, 2)))

    def unread(self, admin: wire.Client) -> tuple[int, int]:
        """How many p2pd says that there are, and of all users together."""
        text = self.metrics(admin)
        total = re.search(r"^p2pd_descriptors_unread (\d+)$", text, re.M)
        users = re.findall(r'^p2pd_user_used\{.*kind="unread descriptors"\} (\d+)$', text, re.M)
        return int(total[1]) if total else -1, sum(int(one) for one in users)


class Idle(RoomCase):
    """Who has read what was sent, and then does nothing, has nothing on its way."""

    def test_metrics(self) -> None:
        """More connections than metrics may be on their way have asked, and read them; so may others."""
        for number in range(MOST // 2 + 8):
            with daemon_case.user(FIRST_UID + number // 50):
                client = self.client(5)
            os.close(client.call(wire.STATS, bytes(8))[1])


class Usage(RoomCase):
    """What each user has is nobody else's business."""

    def test_who_is_told(self) -> None:
        """Administrators; everybody only where the configuration says so."""
        with daemon_case.user(FIRST_UID):
            client = self.client()
        admin = self.client()
        for is_public in (False, True):
            if is_public:
                self.make_public()
            for _ in range(2):
                self.assertIn(f'p2pd_user_used{{uid="{FIRST_UID}",kind="connections"}} 1\n',
                              self.metrics(admin))
                text = self.metrics(client)
                self.assertEqual("p2pd_user_used" in text, is_public)
                self.assertIn("p2pd_clients 2\n", text)

    def make_public(self) -> None:
        """By the configuration."""
        self.daemon.config.write_text(
            self.POLICY.replace("[daemon]", "[daemon]\nusage-is-public = yes"), encoding="ascii")
        os.kill(self.first_pid, signal.SIGHUP)
        self.until(lambda: "policy loaded, number 2" in self.daemon.text())


if __name__ == "__main__":
    daemon_case.main()
