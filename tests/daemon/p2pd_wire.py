# SPDX-License-Identifier: MIT
"""The protocol of p2pd as Python speaks it: written from the rules in lib/common/wire.h, so that
the tests don't share their mistakes with the code. Sizes are given in numbers on purpose: a
structure that changes its layout fails here."""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Optional

HEADER = struct.Struct("<IHHIi")
REPLY = 0x8000
MESSAGE_MAX = 8192

HELLO, PROVIDERS, ACQUIRE, ATTACH, RELEASE, RENEW, ACK, LEASES = range(1, 9)
REVOKE, DRAIN, MONITOR, STATS, POLICY_TEST, PUBLISH, UNPUBLISH, STATUS = range(9, 17)
EVENT_REVOKE_REQUESTED, EVENT_REVOKED, EVENT_MONITOR = 64, 65, 66

EXCLUSIVE, SHARED = 1, 2
READ, WRITE = 1, 2
SCOPE_LEASE, SCOPE_PROVIDER, SCOPE_UID, SCOPE_ALL = 1, 2, 3, 4
ACTIVE, REVOKING = 1, 2
ALL_USERS = 0xFFFFFFFF

S_HELLO = struct.Struct("<IIQ64s")
S_HELLO_REPLY = struct.Struct("<IIQQII")
S_ACQUIRE = struct.Struct("<96s64s64sIIIIQQQQII")
ACQUIRE_BYTES = 280
S_LEASE = struct.Struct("<Q16s64s64sIIIIIIIIiIQQQQQQ")
S_PROVIDER = struct.Struct("<64s64s240sIIIIQQQIIIIiI")
S_LIST = struct.Struct("<Q96sII")
S_LIST_REPLY = struct.Struct("<QII")
S_EVENT = struct.Struct("<QIIIIQQ")
S_MONITOR = struct.Struct("<IIQQIiiI64s64sQ")
S_REVOKE = struct.Struct("<IIQ96sIIQ")
S_REVOKE_REPLY = struct.Struct("<II")
S_DRAIN = struct.Struct("<96sIIQ")
S_STATUS = struct.Struct("<64siIIIQQQQII")
S_POLICY = struct.Struct("<96s96sIIIIIIQQ")
S_POLICY_REPLY = struct.Struct("<iI64s240s240s")
S_PUBLISH = struct.Struct("<64sIIII")
S_PUBLISH_REPLY = struct.Struct("<QQQ")


def text(raw: bytes) -> str:
    """A text field up to its NUL."""
    return raw.split(b"\0", 1)[0].decode()


class Refused(Exception):
    """An answer with an error."""

    def __init__(self, error: int, cause: str) -> None:
        super().__init__(f"{os.strerror(-error)}: {cause}")
        self.error = -error
        self.cause = cause


@dataclass
class Lease:
    """What a wire_lease says."""

    id: int
    token: bytes
    provider: str
    label: str
    state: int
    reason: int
    mode: int
    force: int
    uid: int
    pid: int
    size: int
    expires_ns: int
    deadline_ns: int
    offset: int
    fd: int = -1

    @staticmethod
    def parse(raw: bytes) -> "Lease":
        """From the bytes of one record."""
        (ident, token, provider, label, state, reason, mode, _access, _flags, force, _backend,
         uid, pid, _nr, size, _granted, expires, deadline, offset, _length) = \
            S_LEASE.unpack(raw[:S_LEASE.size])
        return Lease(ident, token, text(provider), text(label), state, reason, mode, force, uid,
                     pid, size, expires, deadline, offset)


# One page for reading and writing, and for nobody else.
ACQUIRE_A_PAGE = S_ACQUIRE.pack(b"*", b"", b"", 1, 3, 0, 0, 4096, 0, 0, 0, 0, 0)


@dataclass
class Event:
    """One event as it came."""

    opcode: int
    body: bytes
    lease_id: int = 0
    reason: int = 0

    def __post_init__(self) -> None:
        if self.opcode in (EVENT_REVOKE_REQUESTED, EVENT_REVOKED):
            self.lease_id, self.reason = S_EVENT.unpack(self.body)[:2]
        elif self.opcode == EVENT_MONITOR:
            self.reason, _, self.lease_id = S_MONITOR.unpack(self.body)[:3]


def packet(opcode: int, body: bytes = b"", serial: int = 1, size: Optional[int] = None,
           flags: int = 0, error: int = 0) -> bytes:
    """A message, also a wrong one."""
    whole = HEADER.size + len(body) if size is None else size
    return HEADER.pack(whole, opcode, flags, serial, error) + body


@dataclass
class Client:
    """One connection."""

    path: str
    timeout: float = 20.0
    serial: int = 0
    events: list[Event] = field(default_factory=list)
    instance: int = 0
    is_admin: bool = False

    def __post_init__(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.path)
        except OSError:
            self.sock.close()
            raise

    def close(self) -> None:
        """As a crash of the connection would."""
        self.sock.close()

    def send_raw(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Any bytes with any descriptors."""
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        self.sock.sendmsg([data], ancillary)

    def receive(self) -> tuple[int, int, int, bytes, int]:
        """(opcode, serial, error, body, fd); EOFError when the daemon has hung up."""
        try:
            data, ancillary, _flags, _ = self.sock.recvmsg(
                MESSAGE_MAX, socket.CMSG_SPACE(4 * 4), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        fds = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[:len(content) - len(content) % 4])
        assert len(fds) <= 1, "more than one descriptor"
        size, opcode, flags, serial, error = HEADER.unpack(data[:HEADER.size])
        assert size == len(data) and flags == 0, "the daemon sent what is no message"
        return opcode, serial, error, data[HEADER.size:], fds[0] if fds else -1

    def call(self, opcode: int, body: bytes = b"", fds: tuple[int, ...] = ()) -> tuple[bytes, int]:
        """A request and its answer: (body, fd)."""
        self.serial += 1
        self.send_raw(packet(opcode, body, self.serial), fds)
        while True:
            got, serial, error, reply, fd = self.receive()
            if serial == 0:
                self.events.append(Event(got, reply))
                continue
            assert (got, serial) == (opcode | REPLY, self.serial), (got, serial)
            if error:
                assert fd < 0
                raise Refused(error, text(reply[:240]))
            return reply, fd

    def hello(self, low: int = 1, high: int = 1) -> "Client":
        """Begin."""
        body, _ = self.call(HELLO, S_HELLO.pack(low, high, 0, b"test"))
        version, flags, _features, self.instance, _most, _page = S_HELLO_REPLY.unpack(body)
        assert version == 1
        self.is_admin = bool(flags & 1)
        return self

    def acquire(self, length: int = 4096, selector: str = "*", mode: int = EXCLUSIVE,
                access: int = READ | WRITE, ttl_ms: int = 0, align: int = 0, label: str = "",
                ranges: tuple[tuple[int, int], ...] = (), importer: str = "",
                flags: int = 0, nonce: int = 0, newer: bytes = b"") -> Lease:
        """A lease with its descriptor; what a newer client would say, too."""
        body = S_ACQUIRE.pack(selector.encode(), importer.encode(), label.encode(), mode, access,
                              flags, len(ranges), 0 if ranges else length, align, ttl_ms, nonce,
                              ACQUIRE_BYTES + len(newer) if ranges else 0, 0) + newer
        body += b"".join(struct.pack("<QQ", *r) for r in ranges)
        reply, fd = self.call(ACQUIRE, body)
        lease = Lease.parse(reply)
        lease.fd = fd
        assert fd >= 0, "a grant without a descriptor"
        return lease

    def attach(self, lease: Lease) -> Lease:
        """Take a lease up again."""
        reply, fd = self.call(ATTACH, struct.pack("<Q16s", lease.id, lease.token))
        assert fd < 0
        return Lease.parse(reply)

    def release(self, lease: Lease) -> None:
        """Give it back."""
        if lease.fd >= 0:
            os.close(lease.fd)
            lease.fd = -1
        self.call(RELEASE, struct.pack("<Q", lease.id))

    def renew(self, lease: Lease, ttl_ms: int) -> int:
        """When it expires now."""
        reply, _ = self.call(RENEW, struct.pack("<QQ", lease.id, ttl_ms))
        return int(struct.unpack("<Q", reply)[0])

    def ack(self, lease: Lease) -> None:
        """Take it, I have stopped."""
        self.call(ACK, struct.pack("<Q", lease.id))

    def revoke(self, scope: int = SCOPE_ALL, lease_id: int = 0, selector: str = "", uid: int = 0,
               deadline_ms: int = 0) -> tuple[int, int]:
        """(leases, of them busy)."""
        reply, _ = self.call(REVOKE, S_REVOKE.pack(scope, 0, lease_id, selector.encode(), uid, 0,
                                                   deadline_ms))
        return S_REVOKE_REPLY.unpack(reply)

    def drain(self, selector: str, is_on: bool, deadline_ms: int = 0) -> tuple[int, int]:
        """No new leases, and the old ones end."""
        reply, _ = self.call(DRAIN, S_DRAIN.pack(selector.encode(), is_on, 0, deadline_ms))
        return S_REVOKE_REPLY.unpack(reply)

    def list(self, opcode: int, selector: str = "", uid: int = ALL_USERS) -> list[bytes]:
        """Every record, page by page."""
        records: list[bytes] = []
        cursor = 0
        while True:
            reply, _ = self.call(opcode, S_LIST.pack(cursor, selector.encode(), uid, 0))
            cursor, count, size = S_LIST_REPLY.unpack(reply[:S_LIST_REPLY.size])
            for i in range(count):
                at = S_LIST_REPLY.size + i * size
                records.append(reply[at:at + size])
            if not cursor:
                return records

    def leases(self, selector: str = "", uid: int = ALL_USERS) -> list[Lease]:
        """Those that one may see."""
        return [Lease.parse(raw) for raw in self.list(LEASES, selector, uid)]

    def event(self, opcode: int, timeout: float = 10.0) -> Event:
        """The next event of this kind; others stay."""
        end = time.monotonic() + timeout
        while True:
            for i, event in enumerate(self.events):
                if event.opcode == opcode:
                    return self.events.pop(i)
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError(f"no event {opcode}; there were {self.events}")
            got, serial, _error, body, fd = self.receive()
            assert serial == 0 and fd < 0
            self.events.append(Event(got, body))
