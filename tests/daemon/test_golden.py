#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Version 1 of the protocol, byte for byte: golden/version-1 holds each request as it is sent and
each answer and event as it comes. What was released once never changes; a line there is
only ever added.

    tests/daemon/test_golden.py BUILD           compares
    tests/daemon/test_golden.py BUILD --write   writes the file anew

Bytes that differ each time (tokens, times, pids, the instance, inodes) are ".." there."""

import os
import struct
import sys
from pathlib import Path

import daemon_case
import p2pd_wire as wire

GOLDEN = Path(__file__).resolve().parent / "golden" / "version-1"
# Where in an answer what differs each time stands: (opcode, first byte, end), from its header on.
VARYING = {
    wire.HELLO | wire.REPLY: [(32, 40)],
    wire.ACQUIRE | wire.REPLY: [(24, 40), (200, 204), (216, 232)],
    wire.ATTACH | wire.REPLY: [(24, 40), (200, 204), (216, 232)],
    wire.LEASES | wire.REPLY: [(216, 220), (232, 248)],
    wire.STATUS | wire.REPLY: [(16, 84), (104, 112), (120, 128)],
    wire.STATS | wire.REPLY: [(16, 24)],
    wire.RENEW | wire.REPLY: [(16, 24)],
    wire.EVENT_REVOKE_REQUESTED: [(40, 56)],
    wire.EVENT_REVOKED: [(48, 56)],
    wire.EVENT_MONITOR: [(40, 48), (184, 192)],
}
POLICY = """
[daemon]
revoke-deadline = 500ms

[rule everybody]
allow = yes
"""


def shown(packet: bytes) -> str:
    """In hexadecimal, four bytes a word, what varies left out."""
    opcode, _flags, _serial, error = struct.unpack_from("<HHIi", packet, 4)
    digits = [f"{byte:02x}" for byte in packet]
    for begin, end in VARYING.get(opcode, []) if not error else []:
        digits[begin:end] = [".."] * (end - begin)
    words = ["".join(digits[i:i + 4]) for i in range(0, len(digits), 4)]
    text, i = [], 0
    while i < len(words):
        run = 1
        while i + run < len(words) and words[i + run] == words[i]:
            run += 1
        text.append(words[i] if run == 1 else f"{words[i]}*{run}")
        i += run
    return " ".join(text)


class Golden(daemon_case.DaemonCase):
    """One conversation with everything in it."""

    POLICY = POLICY

    def setUp(self) -> None:
        if os.getuid() != 0:
            self.skipTest("the administrator's requests are root's")
        super().setUp()
        self.lines: list[str] = []
        self.last = b""

    def send(self, client: wire.Client, name: str, opcode: int, body: bytes = b"") -> None:
        """A request, and what comes until its answer has."""
        client.serial += 1
        packet = wire.packet(opcode, body, client.serial)
        self.lines.append(f"> {name}: {shown(packet)}")
        client.send_raw(packet)
        while True:
            data, ancillary, _, _ = client.sock.recvmsg(wire.MESSAGE_MAX, 64)
            for _level, _kind, content in ancillary:
                os.close(struct.unpack("<i", content[:4])[0])
            text = shown(data)
            if str(self.daemon.config).encode() in data:
                data = data.replace(str(self.daemon.config).encode(), b"CONFIG")
                text = shown(data[:100])
            self.lines.append(f"< {name}: {'fd ' if ancillary else ''}{text}")
            self.last = data
            if struct.unpack_from("<I", data, 8)[0]:
                return

    def converse(self) -> None:
        """In a fixed order, by one client that is an administrator and its own holder."""
        client = self.stranger()
        hello = wire.S_HELLO.pack(1, 1, 0, b"golden")
        self.send(client, "hello of a newer version", wire.HELLO,
                  wire.S_HELLO.pack(2, 3, 0, b"golden"))
        self.send(client, "hello of an older version", wire.HELLO,
                  wire.S_HELLO.pack(0, 0, 0, b"golden"))
        self.send(client, "hello", wire.HELLO, hello)
        self.send(client, "providers", wire.PROVIDERS, wire.S_LIST.pack(0, b"", 0, 0))
        acquire = wire.S_ACQUIRE.pack(b"0000:01:00.0/2", b"", b"label", 1, 3, 0, 0, 8192, 4096, 0,
                                      77, 0, 0)
        self.send(client, "acquire", wire.ACQUIRE, acquire)
        token = self.last[24:40]
        ranges = wire.S_ACQUIRE.pack(b"*", b"0000:09:00.0", b"", 2, 1, 0, 2, 0, 0, 60000, 0, 280, 0)
        ranges += struct.pack("<QQQQ", 65536, 4096, 131072, 4096)
        self.send(client, "acquire ranges", wire.ACQUIRE, ranges)
        self.send(client, "acquire refused", wire.ACQUIRE,
                  wire.S_ACQUIRE.pack(b"0000:07:00.0/1", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0))
        attach = struct.pack("<Q", 1) + token
        self.send(client, "attach", wire.ATTACH, attach)
        self.lines[-2] = "> attach: (a token)"
        self.send(client, "renew", wire.RENEW, struct.pack("<QQ", 2, 60000))
        self.send(client, "leases", wire.LEASES, wire.S_LIST.pack(1, b"", wire.ALL_USERS, 0))
        self.send(client, "policy test", wire.POLICY_TEST,
                  wire.S_POLICY.pack(b"*", b"", 1000, 1000, 1, 3, 0, 0, 4096, 0))
        self.send(client, "monitor", wire.MONITOR, struct.pack("<II", 1, 0))
        self.send(client, "revoke", wire.REVOKE, wire.S_REVOKE.pack(1, 0, 1, b"", 0, 0, 60000))
        self.send(client, "ack", wire.ACK, struct.pack("<Q", 1))
        self.send(client, "release", wire.RELEASE, struct.pack("<Q", 2))
        self.send(client, "release again", wire.RELEASE, struct.pack("<Q", 2))
        self.send(client, "drain", wire.DRAIN, wire.S_DRAIN.pack(b"*", 1, 0, 1000))
        self.send(client, "drain off", wire.DRAIN, wire.S_DRAIN.pack(b"*", 0, 0, 0))
        self.send(client, "monitor off", wire.MONITOR, bytes(8))
        self.send(client, "stats", wire.STATS, bytes(8))
        self.send(client, "publish without a descriptor", wire.PUBLISH,
                  wire.S_PUBLISH.pack(b"name", 2, 3, wire.ALL_USERS, wire.ALL_USERS))
        self.send(client, "unpublish", wire.UNPUBLISH, struct.pack("<Q", 9))
        self.send(client, "status", wire.STATUS)
        self.send(client, "unknown", 99)
        client.close()

    def test_version_1(self) -> None:
        """Each line as it was."""
        self.converse()
        text = "# SPDX-License-Identifier: MIT\n" + "\n".join(self.lines) + "\n"
        if WRITE:
            GOLDEN.parent.mkdir(exist_ok=True)
            GOLDEN.write_text(text, encoding="ascii")
        self.maxDiff = None
        self.assertEqual(text.splitlines(), GOLDEN.read_text(encoding="ascii").splitlines())


if __name__ == "__main__":
    WRITE = "--write" in sys.argv
    if WRITE:
        sys.argv.remove("--write")
    daemon_case.main()
