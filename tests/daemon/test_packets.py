#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a peer may send: whole messages after HELLO. Everything else ends its connection, and only
its own."""

import errno
import os
import socket
import struct
import time

import daemon_case
import p2pd_wire as wire

HELLO_BODY = wire.S_HELLO.pack(1, 1, 0, b"test")


class Packets(daemon_case.DaemonCase):
    """Bytes that are no message, or too many, or too late."""

    def bystander_is_served(self) -> None:
        """Nobody else noticed."""
        self.still_serves()
        self.is_clean()

    def dropped_for(self, data: bytes, fds: tuple[int, ...] = (), hello: bool = True) -> None:
        """Sends it on a connection of its own, which must end."""
        client = self.client() if hello else self.stranger()
        try:
            client.send_raw(data, fds)
            self.hung_up(client)
        except PermissionError:
            # The kernel lets no descriptor of a stranger into the socket.
            self.assertFalse(hello)
        client.close()

    def test_one_byte(self) -> None:
        """Each prefix of a message is none."""
        whole = wire.packet(wire.STATUS)
        for length in range(1, len(whole)):
            self.dropped_for(whole[:length])
        self.dropped_for(b"\0", hello=False)
        self.bystander_is_served()

    def test_empty_packet(self) -> None:
        """Is the end of a connection."""
        self.dropped_for(b"")
        self.bystander_is_served()

    def test_sizes_that_disagree(self) -> None:
        """The header's size is the packet's."""
        for size in (0, 15, 17, 8192, 0x7fffffff, 0xffffffff):
            self.dropped_for(wire.packet(wire.STATUS, size=size))
        self.bystander_is_served()

    def test_oversized(self) -> None:
        """8192 bytes are the most; what is longer was cut by the kernel."""
        client = self.client()
        body = bytes(wire.MESSAGE_MAX - wire.HEADER.size)
        client.send_raw(wire.packet(wire.STATUS, body, 7))
        self.assertEqual(client.receive()[1:3], (7, 0))
        self.dropped_for(wire.packet(wire.STATUS, body + b"\0"))
        self.dropped_for(wire.packet(wire.STATUS, bytes(100000)))
        self.dropped_for(wire.packet(wire.STATUS, bytes(100000), size=wire.MESSAGE_MAX))
        client.close()
        self.bystander_is_served()

    def test_header_fields(self) -> None:
        """Serial 0, an error in a request, flags."""
        for bad in (wire.packet(wire.STATUS, serial=0), wire.packet(wire.STATUS, error=-1),
                    wire.packet(wire.STATUS, flags=1)):
            self.dropped_for(bad)
        self.bystander_is_served()

    def test_unknown_opcodes(self) -> None:
        """Are answered; so are replies and events sent the wrong way round."""
        client = self.client()
        for opcode in (0, 17, 63, wire.EVENT_REVOKED, wire.HELLO | wire.REPLY, 0xffff):
            self.refused(errno.ENOTTY, client.call, opcode)
        client.close()
        self.bystander_is_served()

    def test_bodies(self) -> None:
        """Shorter than first published, with a tail that says something, with one that doesn't."""
        client = self.client()
        bodies = {wire.RELEASE: 8, wire.ATTACH: 24, wire.RENEW: 16, wire.ACK: 8, wire.LEASES: 112,
                  wire.PROVIDERS: 112, wire.MONITOR: 8, wire.STATS: 8, wire.POLICY_TEST: 232,
                  wire.REVOKE: 128, wire.DRAIN: 112, wire.UNPUBLISH: 8, wire.PUBLISH: 80,
                  wire.ACQUIRE: 280}
        for opcode, size in bodies.items():
            for short in (0, 1, size - 1):
                self.refused(errno.EINVAL, client.call, opcode, bytes(short))
            # What has grown since is known, too.
            grown = 8 if opcode == wire.POLICY_TEST else 0
            self.refused(errno.E2BIG, client.call, opcode, bytes(size + grown) + b"\0\0\1")
        reply, _ = client.call(wire.LEASES, bytes(104) + b"\xff" * 4 + bytes(4) + bytes(100))
        self.assertEqual(wire.S_LIST_REPLY.unpack(reply)[1], 0)
        client.close()
        self.bystander_is_served()

    def test_reserved_fields(self) -> None:
        """Are zero."""
        client = self.client()
        self.refused(errno.EINVAL, client.call, wire.LEASES, wire.S_LIST.pack(0, b"", 0, 1))
        self.refused(errno.EINVAL, client.call, wire.MONITOR, struct.pack("<II", 1, 1))
        self.refused(errno.EINVAL, client.call, wire.MONITOR, struct.pack("<II", 2, 0))
        self.refused(errno.EINVAL, client.call, wire.STATS, struct.pack("<II", 2, 0))
        self.refused(errno.EINVAL, client.call, wire.REVOKE,
                     wire.S_REVOKE.pack(4, 2, 0, b"", 0, 0, 0))
        self.refused(errno.EINVAL, client.call, wire.REVOKE,
                     wire.S_REVOKE.pack(5, 0, 0, b"", 0, 0, 0))
        self.refused(errno.EINVAL, client.call, wire.DRAIN, wire.S_DRAIN.pack(b"*", 2, 0, 0))
        client.close()
        self.bystander_is_served()

    def test_texts(self) -> None:
        """Ended within their field, nothing behind, no control characters, UTF-8."""
        client = self.client()
        for bad in (b"x" * 64, b"a\0b", b"a\nb", b"\x1b[2J", b"\x7f", b"\xff\xfe", b"\xc0\x80",
                    "\u0085".encode()):
            body = wire.S_ACQUIRE.pack(b"*", b"", bad, 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0)
            self.refused(errno.EINVAL, client.call, wire.ACQUIRE, body)
        lease = client.acquire(label="größe 2π")
        self.assertEqual(lease.label, "größe 2π")
        client.release(lease)
        client.close()
        self.bystander_is_served()

    def test_acquire_fields(self) -> None:
        """Each that is wrong is refused, and nothing is left of it."""
        client = self.client()
        for wrong in ({"mode": 0}, {"mode": 3}, {"access": 0}, {"access": 2}, {"access": 5},
                      {"flags": 4}, {"length": 0}, {"length": 1}, {"length": 4097},
                      {"length": 1 << 63, "align": 3}, {"align": 12288},
                      {"ranges": ((0, 0),)}, {"ranges": ((1, 4096),)},
                      {"ranges": ((1 << 63, 1 << 63),)},
                      {"ranges": ((0xfffffffffffff000, 8192),)},
                      {"ranges": tuple((i * 4096, 4096) for i in range(33))},
                      {"selector": "!"}, {"importer": "../../etc"}):
            with self.subTest(wrong):
                self.refused(errno.EINVAL, client.acquire, **wrong)
        self.refused(errno.EBUSY, client.acquire, ranges=((0, 4096), (0, 4096)))
        self.refused(errno.EOPNOTSUPP, client.acquire, length=1 << 62)
        self.refused(errno.ENODEV, client.acquire, selector="0000:77:00.0/0")
        self.refused(errno.ESTALE, client.acquire, selector="0000:01:00.0/2@6")
        body = wire.S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, 2, 0, 0, 0, 0, 280, 0) + bytes(16)
        self.refused(errno.EINVAL, client.call, wire.ACQUIRE, body)
        def at(nr_ranges: int, where: int, reserved: int = 0) -> bytes:
            return wire.S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, nr_ranges, 0 if nr_ranges else 4096,
                                       0, 0, 0, where, reserved)
        one = struct.pack("<QQ", 0, 4096)
        for wrong in (at(1, 0) + one, at(1, 272) + one, at(1, 284) + one, at(1, 288) + one,
                      at(1, 279) + one, at(1, 0xfffffff8) + one, at(1, 280) + one + bytes(8),
                      at(1, 284) + bytes(4) + one, at(0, 280), at(0, 280) + one, at(0, 0, 1),
                      at(0xffffffff, 280) + one):
            self.refused(errno.EINVAL, client.call, wire.ACQUIRE, wrong)
        # A newer client's field that says something, and one that doesn't.
        self.refused(errno.E2BIG, client.acquire, ranges=((0, 4096),), newer=bytes(7) + b"\1")
        client.release(client.acquire(ranges=((0, 4096),), newer=bytes(64)))
        client.release(client.acquire(newer=bytes(64)))
        for ranges in (((0, 4096),), tuple((i * 8192, 4096) for i in range(32))):
            lease = client.acquire(ranges=ranges)
            self.assertEqual(lease.size, 4096 * len(ranges))
            client.release(lease)
        lease = client.acquire(ttl_ms=1 << 63)
        self.assertEqual(lease.expires_ns, (1 << 64) - 1)
        client.revoke(wire.SCOPE_ALL, deadline_ms=0xffffffffffffffff)
        client.release(lease)
        client.close()
        self.bystander_is_served()

    def test_descriptors(self) -> None:
        """253 of them, two, or one where none belongs: all closed, and the peer dropped."""
        with open(os.devnull, "rb") as null:
            one = (null.fileno(),)
            acquire = wire.S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0)
            for count in (1, 2, 253):
                self.dropped_for(wire.packet(wire.STATUS), one * count)
                self.dropped_for(wire.packet(wire.ACQUIRE, acquire), one * count)
                self.dropped_for(wire.packet(63), one * count)
                self.dropped_for(wire.packet(wire.HELLO, HELLO_BODY), one * count, hello=False)
                self.dropped_for(b"\0", one * count, hello=False)
            self.dropped_for(wire.packet(wire.PUBLISH, bytes(80)), one * 2)
            # A packet of nothing but descriptors.
            self.dropped_for(b"", one * 253)
        self.bystander_is_served()

    def test_credentials(self) -> None:
        """Control messages other than descriptors mean nothing."""
        client = self.client()
        ours = struct.pack("iII", os.getpid(), os.getuid(), os.getgid())
        client.sock.sendmsg([wire.packet(wire.STATUS, serial=9)],
                            [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, ours)])
        self.assertEqual(client.receive()[1:3], (9, 0))
        client.close()
        self.bystander_is_served()


class Hello(daemon_case.DaemonCase):
    """The beginning."""

    def test_versions(self) -> None:
        """Only older ones, only newer ones, none at all; ranges that include ours."""
        for low, high in ((0, 0), (2, 2), (2, 0xffffffff), (1, 0)):
            client = self.stranger()
            cause = self.refused(errno.EPROTONOSUPPORT, client.hello, low, high)
            self.assertIn(str(low), cause)
            # It may try again with what both speak.
            client.hello(1, 1)
            client.close()
        for low, high in ((0, 1), (1, 2), (0, 0xffffffff)):
            client = self.stranger()
            client.hello(low, high)
            client.close()
        self.is_clean()

    def test_later_version(self) -> None:
        """A longer HELLO whose tail is empty is understood, another isn't."""
        client = self.stranger()
        body, _ = client.call(wire.HELLO, HELLO_BODY + bytes(40))
        self.assertEqual(wire.S_HELLO_REPLY.unpack(body)[0], 1)
        self.refused(errno.E2BIG, client.call, wire.HELLO, HELLO_BODY + b"\1")
        client.close()
        self.is_clean()

    def test_other_beginnings(self) -> None:
        """No request but HELLO comes first."""
        for opcode in (0, *range(2, 20), 0xffff):
            client = self.stranger()
            client.send_raw(wire.packet(opcode, bytes(300)))
            self.hung_up(client)
            client.close()
        self.still_serves()
        self.is_clean()

    def test_silence(self) -> None:
        """hello-time is 1 s here."""
        begin = time.monotonic()
        client = self.stranger()
        self.hung_up(client)
        self.assertGreater(time.monotonic() - begin, 0.9)
        client.close()
        self.is_clean()

    def test_slow(self) -> None:
        """Half a second is soon enough, and then there is no deadline."""
        client = self.stranger()
        time.sleep(0.5)
        client.hello()
        time.sleep(1.5)
        client.call(wire.STATUS)
        client.close()
        self.is_clean()

    def test_wrong_ones_without_end(self) -> None:
        """Who fills its queue with refusals and reads them gains no time by it."""
        client = self.stranger()
        begin = time.monotonic()
        bad = wire.packet(wire.HELLO, wire.S_HELLO.pack(2, 2, 0, b""))
        client.sock.setblocking(False)
        with self.assertRaises((BrokenPipeError, ConnectionResetError, EOFError)):
            while time.monotonic() < begin + 6:
                for _ in range(2000):
                    try:
                        client.sock.send(bad)
                    except BlockingIOError:
                        break
                time.sleep(0.1)
                while time.monotonic() < begin + 6:
                    try:
                        client.receive()
                    except BlockingIOError:
                        break
        self.assertLess(time.monotonic() - begin, 3)
        client.close()
        self.is_clean()


if __name__ == "__main__":
    daemon_case.main()
