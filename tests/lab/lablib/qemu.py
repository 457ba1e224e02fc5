# SPDX-License-Identifier: MIT
"""One virtual machine, from its command line to its end.

QEMU listens on two sockets, the monitor and the port of results; the kernel's
console goes to a file.
Software emulation runs with thread=single: multi-threaded TCG on a busy
host has crashed guests. KVM is used where it has been seen to boot one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .base import LabError, cache_dir, need, write_atomically
from .session import Session

QEMU_PACKAGE = "qemu-system-x86"
# Until the guest says something; a debug kernel takes a minute.
BOOT_TIMEOUT_S = 180


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


def command_line(machine: Machine, work: Path, console: str) -> list[str]:
    """QEMU's arguments."""
    accel = "kvm" if machine.kvm else "tcg,thread=single"
    cpu = "host" if machine.kvm and machine.cpu == "EPYC" and _host_is_amd() else machine.cpu
    # A lab that is killed takes its machine along.
    return [need("setpriv", "util-linux"), "--pdeathsig", "KILL",
            need("qemu-system-x86_64", QEMU_PACKAGE), "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-M", "q35" + (",kernel-irqchip=split" if machine.kvm else ""),
            "-accel", accel, "-cpu", cpu, "-smp", "2", "-m", str(machine.memory_mib),
            "-kernel", str(machine.kernel), "-initrd", str(machine.initrd),
            "-append", " ".join(machine.cmdline), "-serial", console,
            "-qmp", f"unix:{work / 'qmp'},server=on,wait=off",
            "-chardev", f"socket,id=lab,path={work / 'port'},server=on,wait=off",
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
        with open(out / "qemu.log", "wb") as errors:
            command = command_line(machine, work, f"file:{out / 'console.log'}")
            write_atomically(out / "command", " ".join(command) + "\n")
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors,
                                  stderr=errors) as process:
                session = Session(process, work, on_line)
                try:
                    session.serve(begin + timeout_s, begin + BOOT_TIMEOUT_S)
                finally:
                    _stop(process)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_atomically(out / "transcript", "".join(line + "\n" for line in session.lines))
    console_file = out / "console.log"
    console = console_file.read_text(encoding="utf-8", errors="replace") \
        if console_file.exists() else ""
    return Outcome(session.lines, console.replace("\r", ""),
                   (out / "qemu.log").read_text(encoding="utf-8", errors="replace"),
                   time.monotonic() - begin, session.timed_out, session.ended)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def shell(machine: Machine) -> None:
    """Boot with the console on this terminal; the guest's requests are served meanwhile."""
    work = Path(tempfile.mkdtemp(prefix="lab.", dir=_ram(machine)))
    machine.devices = [d.replace("@files@", str(work)) for d in machine.devices]
    machine.cmdline = [*machine.cmdline, "quiet"]
    try:
        for name, mib in machine.memory_files.items():
            with open(work / name, "wb") as handle:
                handle.truncate(mib << 20)
        with subprocess.Popen(command_line(machine, work, "mon:stdio")) as process:
            session = Session(process, work)
            forever = float("inf")
            threading.Thread(target=session.serve, args=(forever, forever), daemon=True).start()
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
