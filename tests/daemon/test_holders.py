#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whose a lease is: of the process that connected. Its death ends it, at whatever step; a lost
connection doesn't. Who else has the socket acts for that process. See docs/broker.md."""

import array
import errno
import os
import signal
import socket
import struct
import subprocess
import time

import daemon_case
import p2pd_wire as wire


class Death(daemon_case.DaemonCase):
    """SIGKILL to a client at each step of the protocol."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY.replace("reattach-time = 5s",
                                                         "reattach-time = 60s")
    STEPS = ("connect", "hello", "asked", "granted", "renew", "revoking", "acked", "released",
             "monitor", "stats")

    def go_to(self, step: str) -> None:
        """In a child: that far and no further."""
        client = wire.Client(self.daemon.path)
        if step == "connect":
            return
        client.hello()
        if step == "hello":
            return
        if step == "monitor":
            client.call(wire.MONITOR, struct.pack("<II", 1, 0))
        elif step == "stats":
            client.send_raw(wire.packet(wire.STATS, bytes(8), 9))
        elif step == "asked":
            body = wire.S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0)
            client.send_raw(wire.packet(wire.ACQUIRE, body, 9))
        else:
            lease = client.acquire()
            if step == "renew":
                client.send_raw(wire.packet(wire.RENEW, struct.pack("<QQ", lease.id, 9), 9))
            if step in ("revoking", "acked"):
                client.revoke(deadline_ms=60000)
            if step == "acked":
                client.send_raw(wire.packet(wire.ACK, struct.pack("<Q", lease.id), 9))
            if step == "released":
                client.send_raw(wire.packet(wire.RELEASE, struct.pack("<Q", lease.id), 9))

    def test_each_step(self) -> None:
        """Nothing is left, and at once: not after the minute that lost connections have."""
        for step in self.STEPS:
            with self.subTest(step):
                read_fd, write_fd = os.pipe()

                def run(step: str = step, write_fd: int = write_fd) -> None:
                    self.go_to(step)
                    os.write(write_fd, b"x")
                    time.sleep(60)
                child = self.fork(run)
                self.assertEqual(os.read(read_fd, 1), b"x")
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                self.children.remove(child)
                self.is_clean()
                os.close(read_fd)
                os.close(write_fd)
        self.still_serves()

    def test_at_random(self) -> None:
        """200 of them at any moment."""
        for i in range(200):
            child = self.fork(lambda: [self.go_to("released") for _ in range(100)])
            time.sleep(0.0005 * (i % 20))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.children.remove(child)
        self.still_serves()
        self.is_clean()

    def test_exec_keeps(self) -> None:
        """A process that becomes another program is the same process."""
        read_fd, write_fd = os.pipe()

        def run() -> None:
            client = self.daemon.client()
            os.set_inheritable(client.sock.fileno(), True)
            client.acquire()
            os.write(write_fd, b"x")
            os.execlp("sleep", "sleep", "60")
        child = self.fork(run)
        os.read(read_fd, 1)
        time.sleep(0.3)
        self.assertEqual(self.status(), (1, 1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.children.remove(child)
        self.is_clean()
        os.close(read_fd)
        os.close(write_fd)


class Connections(daemon_case.DaemonCase):
    """Lost ones, inherited ones, passed-on ones."""

    POLICY = daemon_case.p2pd_run.DEFAULT_POLICY.replace("reattach-time = 5s",
                                                         "reattach-time = 1s")

    def test_lost_and_taken_up(self) -> None:
        """Within its time, with the token, by the same user."""
        client = self.client()
        lease = client.acquire()
        again = self.client()
        client.close()
        wrong = wire.Lease(**{**lease.__dict__, "token": bytes(16)})
        self.refused(errno.ESTALE, again.attach, wrong)
        self.assertEqual(self.until(lambda: again.attach(lease)).offset, lease.offset)
        time.sleep(1.5)
        self.assertEqual(len(again.leases()), 1)
        again.release(lease)
        again.close()
        self.is_clean()

    def test_lost_and_not_taken_up(self) -> None:
        """Its slice stays its own for that time and no longer."""
        client = self.client()
        lease = client.acquire(self.daemon_bar())
        os.close(lease.fd)
        other = self.client()
        begin = time.monotonic()
        client.close()
        self.refused(errno.EBUSY, other.acquire)
        self.until(lambda: not other.leases())
        self.assertGreater(time.monotonic() - begin, 0.95)
        self.refused(errno.ESTALE, other.attach, lease)
        other.close()
        self.is_clean()

    @staticmethod
    def daemon_bar() -> int:
        """All of it."""
        return daemon_case.p2pd_run.BAR

    def test_connected_elsewhere(self) -> None:
        """A lease that has a connection isn't taken away from it, token or not."""
        client, other = self.client(), self.client()
        lease = client.acquire()
        self.assertIn(str(os.getpid()), self.refused(errno.EBUSY, other.attach, lease))
        self.refused(errno.ESTALE, other.release, wire.Lease(**{**lease.__dict__, "fd": -1}))
        client.release(lease)
        for each in (client, other):
            each.close()
        self.is_clean()

    def test_answer_is_lost(self) -> None:
        """The same ACQUIRE again, with its nonce: the same lease, with another descriptor."""
        client = self.client()
        first = client.acquire(nonce=8)
        self.assertEqual(client.acquire(nonce=8).id, first.id)
        # While it is another connection's, it is not to be had.
        other = self.client()
        second = other.acquire(nonce=8)
        self.assertNotEqual(second.id, first.id)
        other.release(second)
        other.close()
        for is_killed in (False, True):
            before = self.daemon.exports()
            if is_killed:
                self.daemon.kill()
            client.close()
            self.daemon.reconnect().close()
            self.until(lambda: self.status()[0] == 0)
            client = self.daemon.reconnect()
            self.opened.append(client)
            self.refused(errno.EINVAL, client.acquire, 8192, nonce=8)
            again = client.acquire(nonce=8)
            self.assertEqual((again.id, again.token), (first.id, first.token))
            after = self.daemon.exports()
            self.assertEqual(len(after), 1)
            self.assertNotEqual(after, before)
        client.release(again)
        third = client.acquire(nonce=8)
        self.assertNotEqual(third.id, first.id)
        client.release(third)
        client.close()

    def test_break_is_not_noticed_yet(self) -> None:
        """Who is back before p2pd has seen its old connection break has the lease, not a second."""
        for is_attached in (False, True):
            client, back = self.client(), self.client()
            first = client.acquire(nonce=9)
            pid = self.daemon.pid()
            os.kill(pid, signal.SIGSTOP)
            self.until(lambda: " (p2pd-emulated) T " in self.stat(pid))
            # First in its queue is what the new connection says, then the old one's end.
            if is_attached:
                back.send_raw(wire.packet(wire.ATTACH, struct.pack("<Q16s", first.id, first.token)))
            else:
                back.send_raw(wire.packet(wire.ACQUIRE, wire.S_ACQUIRE.pack(
                    b"*", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 9, 0, 0)))
            client.close()
            os.kill(pid, signal.SIGCONT)
            _opcode, _serial, error, body, fd = back.receive()
            self.assertEqual((error, fd < 0), (0, is_attached))
            again = wire.Lease.parse(body)
            again.fd = fd
            self.assertEqual((again.id, again.token), (first.id, first.token))
            self.assertEqual(len(self.daemon.exports()), 1)
            os.close(first.fd)
            back.release(again)
            back.close()
            self.is_clean()

    @staticmethod
    def stat(pid: int) -> str:
        """What the kernel says of a process."""
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read()

    def test_nonce_of_another_user(self) -> None:
        """Says nothing."""
        client = self.client()
        lease = client.acquire(nonce=7)
        client.close()
        self.until(lambda: self.status()[0] == 0)

        def run() -> None:
            thief = self.daemon.client()
            other = thief.acquire(nonce=7)
            assert other.id != lease.id
            thief.release(other)
        self.as_user(12345, run)
        client = self.client()
        self.assertEqual(client.acquire(nonce=7).id, lease.id)
        client.release(lease)

    def test_another_user(self) -> None:
        """A token is worth nothing to another user."""
        client = self.client()
        lease = client.acquire()
        client.close()

        def run() -> None:
            thief = self.daemon.client()
            self.refused(errno.ESTALE, thief.attach, lease)
            assert thief.leases() == []
            self.refused(errno.EPERM, thief.list, wire.LEASES, "", 0)
            self.refused(errno.EPERM, thief.revoke)
            self.refused(errno.EPERM, thief.drain, "*", True)
            self.refused(errno.EPERM, thief.call, wire.STATS, struct.pack("<II", 1, 0))
        self.as_user(12345, run)
        again = self.client()
        again.attach(lease)
        again.release(lease)
        again.close()
        self.is_clean()

    def test_forked_child(self) -> None:
        """It may go on with the connection for its parent; the parent's death ends all."""
        read_fd, write_fd = os.pipe()

        def parent() -> None:
            client = self.daemon.client()
            client.acquire()
            if os.fork() == 0:
                # In the name of the parent: its lease, its pid.
                try:
                    lease = client.acquire()
                    os.write(write_fd, struct.pack("<iii", lease.pid, os.getppid(), os.getpid()))
                    client.receive()
                except EOFError:
                    os.write(write_fd, b"hung")
                os._exit(0)
            time.sleep(60)
        child = self.fork(parent)
        holder, parent_pid, grandchild = struct.unpack("<iii", os.read(read_fd, 12))
        self.assertEqual((holder, parent_pid), (child, child))
        self.assertEqual(self.status(), (1, 2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.children.remove(child)
        self.assertEqual(os.read(read_fd, 4), b"hung", f"of {grandchild}")
        self.is_clean()
        os.close(read_fd)
        os.close(write_fd)

    def test_child_ends(self) -> None:
        """The end of a child that has the socket, too, ends nothing."""
        client = self.client()
        lease = client.acquire()
        self.ends(self.fork(lambda: None))
        child = subprocess.run(["true"], pass_fds=(client.sock.fileno(),), check=True)
        self.assertEqual(child.returncode, 0)
        client.renew(lease, 1000)
        client.release(lease)
        client.close()
        self.is_clean()

    def test_passed_on_socket(self) -> None:
        """Who gets the socket acts for who connected, and is nobody else."""
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        theirs.settimeout(20)

        def receiver() -> None:
            _, ancillary, _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(4))
            fd = array.array("i", ancillary[0][2])[0]
            sock = socket.socket(fileno=fd)
            sock.settimeout(20)
            body = wire.S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0)
            sock.send(wire.packet(wire.ACQUIRE, body, 5))
            reply = sock.recv(8192)
            theirs.send(reply[16:])
            theirs.recv(1)
        child = self.fork(receiver)
        client = self.client()
        socket.send_fds(ours, [b"x"], [client.sock.fileno()])
        lease = wire.Lease.parse(ours.recv(8192))
        self.assertEqual((lease.pid, lease.uid), (os.getpid(), os.getuid()))
        client.close()
        # The other end is open in the child: still connected.
        time.sleep(1.3)
        self.assertEqual(self.status(), (1, 1))
        ours.send(b"x")
        self.ends(child)
        self.until(lambda: self.status() == (0, 0))
        self.is_clean()

    def test_connector_is_gone(self) -> None:
        """A socket that outlived who connected is worth no lease."""
        ours, theirs = socket.socketpair()

        def connector() -> None:
            client = self.daemon.client()
            socket.send_fds(theirs, [b"x"], [client.sock.fileno()])
        self.ends(self.fork(connector))
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        client = self.client()
        mine = client.sock
        client.sock = socket.socket(fileno=fds[0])
        client.sock.settimeout(5)
        self.refused(errno.ESRCH, client.acquire)
        self.refused(errno.ESRCH, client.attach,
                     wire.Lease(1, bytes(16), "", "", 1, 0, 1, 0, 0, 0, 0, 0, 0, 0))
        client.sock.close()
        client.sock = mine
        client.close()
        self.is_clean()

    def test_duplicated_descriptors(self) -> None:
        """A second descriptor of the DMABUF or the socket is no second lease: one release ends it."""
        client = self.client()
        lease = client.acquire()
        copy = os.dup(lease.fd)
        second = os.dup(client.sock.fileno())
        client.release(lease)
        self.assertEqual(self.daemon.exports(), [])
        os.close(copy)
        client.close()
        time.sleep(0.2)
        self.assertEqual(self.status(), (1, 0))
        os.close(second)
        self.is_clean()

    def test_pid_reuse(self) -> None:
        """Another process with the same pid isn't the holder: its life doesn't keep the lease."""
        try:
            with open("/proc/sys/kernel/ns_last_pid", "r+", encoding="ascii") as handle:
                handle.write(handle.read())
        except OSError as error:
            self.skipTest(f"pids can't be chosen here: {error}")
        for _ in range(3):
            read_fd, write_fd = os.pipe()

            def hold(write_fd: int = write_fd) -> None:
                self.daemon.client().acquire()
                os.write(write_fd, b"x")
                time.sleep(60)
            child = self.fork(hold)
            os.read(read_fd, 1)
            os.kill(self.first_pid, signal.SIGSTOP)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.children.remove(child)
            heir = self.take_pid(child)
            os.kill(self.first_pid, signal.SIGCONT)
            if heir:
                self.is_clean()
                os.kill(heir, signal.SIGKILL)
                os.waitpid(heir, 0)
                self.children.remove(heir)
            os.close(read_fd)
            os.close(write_fd)
            if heir:
                return
        self.skipTest("others were faster each time")

    def take_pid(self, pid: int) -> int:
        """A process with just this pid, 0 where somebody else was given it."""
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as handle:
            handle.write(str(pid - 1))
        child = self.fork(lambda: time.sleep(60))
        if child == pid:
            return child
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.children.remove(child)
        return 0


if __name__ == "__main__":
    daemon_case.main()
