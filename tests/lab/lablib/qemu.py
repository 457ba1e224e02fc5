# SPDX-License-Identifier: MIT
"""One virtual machine, from its command line to its end.

QEMU connects to three sockets that this process listens on: the monitor, the
port of results, and nothing else; the kernel's console goes to a file.
Software emulation runs with thread=single: multi-threaded TCG on a busy
host has crashed guests. KVM is used where it has been seen to boot one.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .base import LabError, cache_dir, need, write_atomically
from .host import Host, Qmp

QEMU_PACKAGE = "qemu-system-x86"
CONNECT_TIMEOUT_S = 20


@dataclass
class Machine:
    """Everything QEMU is told."""

    kernel: Path
    initrd: Path
    cmdline: list[str]
    devices: list[str]
    cpu: str = "EPYC"
    memory_mib: int = 1024
    memory_files: dict[str, int] = field(default_factory=dict)
    kvm: bool = False


@dataclass
class Outcome:
    """How the machine's life ended."""

    lines: list[str]
    console: str
    qemu_errors: str
    wall_s: float
    timed_out: bool
    ended: bool


def command_line(machine: Machine, monitor: Path, port: Path, console: str) -> list[str]:
    """QEMU's arguments."""
    accel = "kvm" if machine.kvm else "tcg,thread=single"
    cpu = "host" if machine.kvm and machine.cpu == "EPYC" and _host_is_amd() else machine.cpu
    return [need("qemu-system-x86_64", QEMU_PACKAGE), "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-M", "q35" + (",kernel-irqchip=split" if machine.kvm else ""),
            "-accel", accel, "-cpu", cpu, "-smp", "2", "-m", str(machine.memory_mib),
            "-kernel", str(machine.kernel), "-initrd", str(machine.initrd),
            "-append", " ".join(machine.cmdline), "-serial", console,
            "-qmp", f"unix:{monitor}", "-chardev", f"socket,id=lab,path={port}",
            *machine.devices,
            "-device", "virtio-serial-pci,id=labserial,bus=pcie.0",
            "-device", "virtserialport,bus=labserial.0,chardev=lab,name=lab"]


def _host_is_amd() -> bool:
    return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def _ram(machine: Machine) -> str | None:
    """Where the files behind BARs and the sockets go: RAM, if there is enough of it."""
    try:
        free = os.statvfs("/dev/shm")
    except OSError:
        return None
    wanted = (sum(machine.memory_files.values()) + 64) << 20
    if os.access("/dev/shm", os.W_OK) and free.f_bavail * free.f_frsize > wanted:
        return "/dev/shm"
    return None


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(CONNECT_TIMEOUT_S)
    return listener


def run(machine: Machine, out: Path, timeout_s: float,
        on_line: Callable[[str], None] | None = None) -> Outcome:
    """Boot, serve the guest until it ends or @timeout_s is over; logs go to @out."""
    out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="lab.", dir=_ram(machine)))
    machine.devices = [d.replace("@files@", str(work)) for d in machine.devices]
    begin = time.monotonic()
    try:
        for name, mib in machine.memory_files.items():
            with open(work / name, "wb") as handle:
                handle.truncate(mib << 20)
        with _listen(work / "qmp") as monitor, _listen(work / "port") as port, \
                open(out / "qemu.log", "wb") as errors:
            command = command_line(machine, work / "qmp", work / "port",
                                   f"file:{out / 'console.log'}")
            write_atomically(out / "command", " ".join(command) + "\n")
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors,
                                  stderr=errors) as process:
                try:
                    lines, late, ended = _serve(process, monitor, port, work,
                                                begin + timeout_s, on_line)
                finally:
                    _stop(process)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_atomically(out / "transcript", "".join(line + "\n" for line in lines))
    console_file = out / "console.log"
    console = console_file.read_text(encoding="utf-8", errors="replace") \
        if console_file.exists() else ""
    return Outcome(lines, console.replace("\r", ""),
                   (out / "qemu.log").read_text(encoding="utf-8", errors="replace"),
                   time.monotonic() - begin, late, ended)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _serve(process: subprocess.Popen[bytes], monitor: socket.socket, port: socket.socket,
           files: Path, deadline: float, on_line: Callable[[str], None] | None
           ) -> tuple[list[str], bool, bool]:
    """Read the port's lines and answer requests: (lines, timed out, saw the end marker)."""
    try:
        qmp_socket, _ = monitor.accept()
        port_socket, _ = port.accept()
        host = Host(Qmp(qmp_socket), files)
    except (OSError, LabError):
        # QEMU refused its arguments; its own sentence is in qemu.log.
        return [], False, False
    lines: list[str] = []
    ended = False
    with qmp_socket, port_socket, selectors.DefaultSelector() as selector:
        selector.register(port_socket, selectors.EVENT_READ)
        pending = b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return lines, True, ended
            if not selector.select(min(left, 1.0)):
                if process.poll() is not None:
                    return lines, False, ended
                continue
            try:
                chunk = port_socket.recv(65536)
            except ConnectionError:
                chunk = b""
            if not chunk:
                return lines, False, ended
            pending += chunk
            while b"\n" in pending:
                raw, pending = pending.split(b"\n", 1)
                line = raw.decode(errors="replace").rstrip("\r")
                lines.append(line)
                ended = ended or line.split(" ")[0] == "end"
                if on_line:
                    on_line(line)
                if line.startswith("host "):
                    status, text = host.answer(line.split()[1:])
                    lines.append(f"< {status} {text}")
                    port_socket.sendall(f"reply {status} {text}\n".encode())


def shell(machine: Machine) -> None:
    """Boot with the console on this terminal; the guest's requests are served meanwhile."""
    work = Path(tempfile.mkdtemp(prefix="lab.", dir=_ram(machine)))
    machine.devices = [d.replace("@files@", str(work)) for d in machine.devices]
    machine.cmdline = [*machine.cmdline, "quiet"]
    try:
        for name, mib in machine.memory_files.items():
            with open(work / name, "wb") as handle:
                handle.truncate(mib << 20)
        with _listen(work / "qmp") as monitor, _listen(work / "port") as port:
            command = command_line(machine, work / "qmp", work / "port", "mon:stdio")
            with subprocess.Popen(command) as process:
                server = threading.Thread(target=_serve, daemon=True, args=(
                    process, monitor, port, work, float("inf"), None))
                server.start()
                process.wait()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def kvm_boots(kernel: Path, initrd: Path) -> bool:
    """Does KVM really boot a guest here? Tried once per boot of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    stamp = cache_dir() / f"kvm-{boot}"
    if not stamp.exists():
        machine = Machine(kernel, initrd, ["console=ttyS0", "panic=-1"], [], kvm=True)
        try:
            outcome = run(machine, cache_dir() / "kvm-probe", 20)
            answer = "yes" if outcome.ended else "no"
        except (LabError, OSError):
            answer = "no"
        write_atomically(stamp, answer)
    return stamp.read_text(encoding="utf-8") == "yes"
