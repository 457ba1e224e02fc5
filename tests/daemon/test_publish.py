#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A DMABUF of one process under a name, leases of it for others: a real one where there is
/dev/udmabuf, else a memfd that the p2pd of the tests takes for one."""

import errno
import fcntl
import os
import socket
import struct
import tempfile
import time

import daemon_case
import p2pd_wire as wire
import stuck_file

ANYBODY = wire.ALL_USERS
UDMABUF_CREATE = 0x40187542
SIZE = 65536


WORD = "DMABUF"


def make_dmabuf() -> int:
    """A real one, of a memfd's pages, where that is possible."""
    memory = os.memfd_create("memory", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, SIZE)
    if not os.access("/dev/udmabuf", os.R_OK | os.W_OK):
        os.pwrite(memory, WORD.encode(), 0)
        return memory
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    device = os.open("/dev/udmabuf", os.O_RDWR)
    dmabuf = fcntl.ioctl(device, UDMABUF_CREATE, struct.pack("<IIQQ", memory, 1, 0, SIZE))
    os.close(device)
    os.close(memory)
    return int(dmabuf)


def publish(client: wire.Client, name: str, fd: int, mode: int = wire.SHARED,
            uid: int = ANYBODY, access: int = 3) -> tuple[int, int, int]:
    """(id, size, inode)."""
    reply, _ = client.call(wire.PUBLISH, wire.S_PUBLISH.pack(name.encode(), mode, access, uid,
                                                             ANYBODY), (fd,))
    return wire.S_PUBLISH_REPLY.unpack(reply)


class Refused(daemon_case.DaemonCase):
    """What is no DMABUF, and what is no name."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY + daemon_case.p2pd_run.PUBLISHERS

    def test_other_descriptors(self) -> None:
        """Files, memfds, pipes, sockets, directories, a file that is called like one."""
        client = self.client()
        read_fd, write_fd = os.pipe()
        sockets = socket.socketpair()
        with tempfile.TemporaryDirectory() as folder:
            named = os.open(os.path.join(folder, "dmabuf:"), os.O_RDWR | os.O_CREAT)
            others = [os.open("/dev/null", os.O_RDWR), os.open("/", os.O_RDONLY),
                      os.open("/", os.O_PATH), os.memfd_create("dmabuf:"), read_fd, write_fd,
                      sockets[0].fileno(), sockets[1].fileno(), named, client.sock.fileno(),
                      os.pidfd_open(os.getpid()), os.open("/proc/self/status", os.O_RDONLY)]
            for fd in others:
                self.assertIn("no DMABUF", self.refused(errno.EINVAL, publish, client, "x", fd))
            for fd in set(others) - {sockets[0].fileno(), sockets[1].fileno(),
                                     client.sock.fileno()}:
                os.close(fd)
        for each in sockets:
            each.close()
        self.refused(errno.EBADF, client.call, wire.PUBLISH,
                     wire.S_PUBLISH.pack(b"x", 2, 3, ANYBODY, ANYBODY))
        self.refused(errno.ENOENT, client.call, wire.UNPUBLISH, struct.pack("<Q", 1))
        client.close()
        self.still_serves()
        self.is_clean()

    def test_stuck_files(self) -> None:
        """A file that can't be closed holds nobody up, however it comes, and a user has few such."""
        try:
            stuck = stuck_file.StuckFile()
        except OSError as error:
            self.skipTest(f"no FUSE here: {error}")
        fd = stuck.open()
        self.addCleanup(lambda: (os.close(fd), stuck.end()))
        publishing = wire.packet(wire.PUBLISH, wire.S_PUBLISH.pack(b"x", 2, 3, ANYBODY, ANYBODY))
        cases = [(wire.packet(wire.STATUS), 1), (wire.packet(wire.STATUS), 253), (b"", 1),
                 (b"x", 2), (publishing, 2), (publishing[:-1], 1),
                 (wire.packet(wire.PUBLISH, bytes(3)), 1), (publishing, 253)]
        for packet, count in cases:
            client = self.client(5)
            client.send_raw(packet, (fd,) * count)
            self.still_serves()
            client.close()
        before = len(stuck.asked)

        def run() -> None:
            dropped = 0
            for _ in range(20):
                client = self.daemon.client(5)
                try:
                    self.refused(errno.EINVAL, publish, client, "x", fd)
                except EOFError:
                    dropped += 1
                client.close()
            assert dropped == 16, dropped
        self.as_user(12345, run)
        self.still_serves()
        self.assertNotIn(stuck_file.STATFS, stuck.asked)
        self.assertGreater(len(stuck.asked), before)

    def test_stuck_file_and_restart(self) -> None:
        """p2pd has none of it itself: it can be killed and is back at once, and stuck is who took it."""
        try:
            stuck = stuck_file.StuckFile()
        except OSError as error:
            self.skipTest(f"no FUSE here: {error}")
        fd = stuck.open()
        self.addCleanup(stuck.end)
        lease = self.client().acquire()
        for _ in range(2):
            client = self.daemon.reconnect()
            self.opened.append(client)
            self.refused(errno.EINVAL, publish, client, "x", fd)
            asked = stuck.asked.count(stuck_file.FLUSH)
            self.until(lambda before=asked: stuck.asked.count(stuck_file.FLUSH) >= max(before, 1))
            self.daemon.kill()
            begin = time.monotonic()
            client = self.daemon.reconnect()
            self.opened.append(client)
            self.assertLess(time.monotonic() - begin, 3)
            client.attach(lease)
        client.release(lease)

    def test_stuck_epoll(self) -> None:
        """What a descriptor is isn't asked under a lock that its sender holds for ever."""
        try:
            stuck = stuck_file.StuckFile()
            held, child = stuck.hold_epoll()
        except OSError as error:
            self.skipTest(f"no FUSE here: {error}")
        self.children.append(child)
        publishing = wire.packet(wire.PUBLISH, wire.S_PUBLISH.pack(b"x", 2, 3, ANYBODY, ANYBODY))
        client = self.client(5)
        try:
            client.send_raw(publishing, (held,))
            self.still_serves()
            self.assertEqual(client.receive()[2], -errno.EINVAL)
        finally:
            stuck.end()
        os.close(held)
        client.close()
        self.is_clean()

    def test_fields(self) -> None:
        """Names, modes, accesses; the descriptor is closed each time."""
        client = self.client()
        null = os.open("/dev/null", os.O_RDWR)
        for name in ("", "a/b", "a:b", "a b", "0000:01:00.0/2", "\n"):
            self.refused(errno.EINVAL, publish, client, name, null)
        for mode, access in ((0, 3), (3, 3), (2, 0), (2, 2), (2, 7)):
            self.refused(errno.EINVAL, publish, client, "x", null, mode, ANYBODY, access)
        os.close(null)
        client.close()
        self.still_serves()
        self.is_clean()


class Published(daemon_case.DaemonCase):
    """Between processes."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY.replace("reattach-time = 5s",
                                                         "reattach-time = 1s")
    OPTIONS = {"environment": {"P2PD_EMULATED_DMABUF": WORD}}

    def test_shared_by_length(self) -> None:
        """Who names no range has the whole, as often as it is shared; a part can't be had."""
        owner, client = self.client(), self.client()
        dmabuf = make_dmabuf()
        names = [publish(owner, "shared", dmabuf)[0],
                 publish(owner, "alone", dmabuf, wire.EXCLUSIVE)[0]]
        leases = [client.acquire(SIZE, "published:shared", wire.SHARED) for _ in range(3)]
        leases.append(client.acquire(0, "published:shared", wire.SHARED, ranges=((0, SIZE),)))
        self.assertEqual([lease.offset for lease in leases], [0] * 4)
        leases.append(client.acquire(SIZE, "published:alone"))
        self.assertIn("held by somebody else",
                      self.refused(errno.EBUSY, client.acquire, SIZE, "published:alone"))
        for more in ({"length": 4096}, {"length": 2 * SIZE}, {"ranges": ((4096, 4096),)}):
            self.assertIn("as a whole",
                          self.refused(errno.EOPNOTSUPP, client.acquire, mode=wire.SHARED,
                                       selector="published:shared", **more))
        for lease in leases:
            client.release(lease)
        for name in names:
            owner.call(wire.UNPUBLISH, struct.pack("<Q", name))
        os.close(dmabuf)
        owner.close()
        client.close()
        self.is_clean()

    def test_only_who_names_it(self) -> None:
        """Who wants memory of any device doesn't get somebody's buffer that is of the right size."""
        owner, client = self.client(), self.client()
        dmabuf = make_dmabuf()
        ident = publish(owner, "trap", dmabuf, wire.EXCLUSIVE)[0]
        rest = client.acquire(64 << 20)
        self.assertIn("no room", self.refused(errno.EBUSY, client.acquire, SIZE))
        client.release(rest)
        for selector in ("published:trap", "published:*", "backend:published"):
            lease = client.acquire(SIZE, selector)
            self.assertEqual(lease.provider, "trap")
            client.release(lease)
        owner.call(wire.UNPUBLISH, struct.pack("<Q", ident))
        self.assertIn("no provider matches",
                      self.refused(errno.ENODEV, client.acquire, SIZE, "published:*"))
        os.close(dmabuf)
        owner.close()
        client.close()
        self.is_clean()

    def test_acquired_by_another(self) -> None:
        """The same buffer; UNPUBLISH reaches its holders."""
        owner = self.client()
        dmabuf = make_dmabuf()
        ident, size, inode = publish(owner, "buffer", dmabuf)
        self.assertEqual((size, inode), (SIZE, os.fstat(dmabuf).st_ino))

        def take() -> None:
            client = self.daemon.client()
            lease = client.acquire(SIZE, "published:buffer", wire.SHARED)
            assert os.fstat(lease.fd).st_ino == inode
            owner.call(wire.UNPUBLISH, struct.pack("<Q", ident))
            assert client.event(wire.EVENT_REVOKED).reason == 11
        self.ends(self.fork(take))
        self.refused(errno.ENODEV, owner.acquire, SIZE, "published:buffer", wire.SHARED)
        os.close(dmabuf)
        owner.close()
        self.is_clean()

    def test_publisher_dies(self) -> None:
        """Its holders hear of it."""
        ready_read, ready_write = os.pipe()

        def own() -> None:
            client = self.daemon.client()
            publish(client, "buffer", make_dmabuf())
            os.write(ready_write, b"x")
            client.receive()
        child = self.fork(own)
        os.read(ready_read, 1)
        client = self.client()
        lease = client.acquire(SIZE, "published:buffer", wire.SHARED)
        os.kill(child, 9)
        os.waitpid(child, 0)
        self.children.remove(child)
        self.assertEqual(client.event(wire.EVENT_REVOKED).reason, 11)
        os.close(lease.fd)
        os.close(ready_read)
        os.close(ready_write)
        client.close()
        self.is_clean()

    def test_own_lease_of_a_lost_publisher(self) -> None:
        """A publisher that leases its own, loses its connection and dies: in that order."""
        def own() -> None:
            client = self.daemon.client()
            publish(client, "buffer", make_dmabuf())
            client.acquire(SIZE, "published:buffer", wire.SHARED)
            client.close()
            time.sleep(0.2)
        self.ends(self.fork(own))
        self.still_serves()
        self.is_clean()

    def test_lost_publisher_comes_back(self) -> None:
        """The same buffer under the same name by the same user, and its leases go on."""
        owner, holder = self.client(), self.client()
        dmabuf, other = make_dmabuf(), make_dmabuf()
        publish(owner, "buffer", dmabuf)
        lease = holder.acquire(SIZE, "published:buffer", wire.SHARED)
        owner.close()
        again = self.client()
        self.until(lambda: self.status()[0] == 2)
        self.refused(errno.EBUSY, publish, again, "buffer", other)
        publish(again, "buffer", dmabuf)
        self.assertEqual(len(holder.leases()), 1)
        holder.release(lease)
        for fd in (dmabuf, other):
            os.close(fd)
        holder.close()
        again.close()

    def test_comes_back_with_other_terms(self) -> None:
        """They count from then on, also for the leases that are there."""
        owner, holder = self.client(), self.client()
        dmabuf = make_dmabuf()
        publish(owner, "buffer", dmabuf)
        reads = holder.acquire(SIZE, "published:buffer", wire.SHARED, 1)
        writes = holder.acquire(SIZE, "published:buffer", wire.SHARED, 3, ranges=((0, SIZE),))
        owner.close()
        again = self.client()
        self.until(lambda: self.status()[0] == 2)
        publish(again, "buffer", dmabuf, access=1)
        event = holder.event(wire.EVENT_REVOKE_REQUESTED)
        self.assertEqual((event.lease_id, event.reason), (writes.id, 11))
        self.refused(errno.EACCES, holder.acquire, SIZE, "published:buffer", wire.SHARED, 3)
        holder.release(writes)
        again.close()
        # The same while p2pd wasn't there: who comes back first is told when the publisher does.
        self.daemon.kill()
        again, holder = self.daemon.reconnect(), self.daemon.reconnect()
        self.opened += [again, holder]
        holder.attach(reads)
        publish(again, "buffer", dmabuf, wire.SHARED, 4711)
        self.assertEqual(holder.event(wire.EVENT_REVOKE_REQUESTED).lease_id, reads.id)
        holder.release(reads)
        self.refused(errno.EACCES, holder.acquire, SIZE, "published:buffer", wire.SHARED, 1)
        os.close(dmabuf)

    def test_across_a_restart(self) -> None:
        """Leases wait for their publisher, and end when it doesn't publish again."""
        owner, holder = self.client(), self.client()
        dmabuf = make_dmabuf()
        for name in ("stays", "goes"):
            publish(owner, name, dmabuf)
        kept = holder.acquire(SIZE, "published:stays", wire.SHARED)
        lost = holder.acquire(SIZE, "published:goes", wire.SHARED)
        self.daemon.kill()
        owner, holder = self.daemon.reconnect(), self.daemon.reconnect()
        self.opened += [owner, holder]
        for lease in (kept, lost):
            holder.attach(lease)
        publish(owner, "stays", dmabuf)
        event = holder.event(wire.EVENT_REVOKED)
        self.assertEqual((event.lease_id, event.reason), (lost.id, 11))
        self.assertEqual([lease.id for lease in holder.leases()], [kept.id])
        holder.release(kept)
        os.close(dmabuf)

    def test_across_many_restarts(self) -> None:
        """The publisher's time begins with the first: later ones don't give it anew."""
        owner, holder = self.client(), self.client()
        dmabuf = make_dmabuf()
        publish(owner, "goes", dmabuf)
        lease = holder.acquire(SIZE, "published:goes", wire.SHARED)
        os.close(lease.fd)
        os.close(dmabuf)
        owner.close()
        begin = time.monotonic()
        with self.assertRaises(wire.Refused) as caught:
            while time.monotonic() < begin + 6:
                self.daemon.kill()
                holder = self.daemon.reconnect()
                self.opened.append(holder)
                holder.attach(lease)
                time.sleep(0.3)
        self.assertEqual(caught.exception.error, errno.ESTALE)
        self.assertGreater(time.monotonic() - begin, 1)

    def test_rules(self) -> None:
        """Only for whom, and how, it was published; under a name that is free."""
        owner, other = self.client(), self.client()
        dmabuf = make_dmabuf()
        publish(owner, "buffer", dmabuf, wire.EXCLUSIVE, 4711, 1)
        self.refused(errno.EACCES, owner.acquire, SIZE, "published:buffer", wire.EXCLUSIVE, 1)
        self.refused(errno.EBUSY, publish, other, "buffer", dmabuf)
        publish(owner, "mine", dmabuf, wire.EXCLUSIVE, os.getuid(), 1)
        self.refused(errno.EACCES, other.acquire, SIZE, "published:mine", wire.SHARED, 1)
        self.refused(errno.EACCES, other.acquire, SIZE, "published:mine", wire.EXCLUSIVE, 3)
        self.refused(errno.EOPNOTSUPP, other.acquire, 4096, "published:mine", wire.EXCLUSIVE, 1)
        lease = other.acquire(SIZE, "published:mine", wire.EXCLUSIVE, 1)
        self.refused(errno.EBUSY, owner.acquire, SIZE, "published:mine", wire.EXCLUSIVE, 1)
        other.release(lease)
        os.close(dmabuf)
        for each in (owner, other):
            each.close()


if __name__ == "__main__":
    daemon_case.main()
