# SPDX-License-Identifier: MIT
"""What every part of the lab stands on: where things lie, how a build step is
made atomic and safe for several labs at once, and the one kind of error that
is meant for the person at the keyboard."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
LAB = REPO / "tests" / "lab"


class LabError(Exception):
    """Something the user can act on; printed without a traceback."""


def cache_dir() -> Path:
    """The lab's cache, outside the tree; may be deleted at any time."""
    chosen = os.environ.get("P2PDMA_CACHE")
    if not chosen:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        chosen = os.path.join(base, "libp2pdma")
    path = Path(chosen).absolute() / "lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name: str, what: str = "") -> Iterator[None]:
    """Hold one named lock of the cache; a second lab that wants @what waits here."""
    locks = cache_dir() / "locks"
    locks.mkdir(exist_ok=True)
    with open(locks / name.replace("/", "_"), "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting for another lab that makes {what or name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """One line of progress, on stderr so that results can be piped."""
    print(text, file=sys.stderr, flush=True)


def made(target: Path, make: Callable[[Path], None]) -> Path:
    """Make the directory or file @target once, atomically.

    @make gets a fresh directory to fill; on success it is renamed to
    @target. Interrupted or failed work leaves nothing that looks finished.
    """
    if target.exists():
        return target
    with lock(f"made-{digest([str(target)])}", target.name):
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        work.chmod(0o755)
        try:
            make(work)
            work.rename(target)
        finally:
            if work.exists():
                shutil.rmtree(work, ignore_errors=True)
    return target


def write_atomically(path: Path, data: str | bytes) -> None:
    """Replace @path in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(raw)
        os.chmod(name, 0o644)
        os.rename(name, path)
    except BaseException:
        os.unlink(name)
        raise


def digest(parts: Iterable[str | bytes]) -> str:
    """A short cache key of a list of strings."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little"))
        state.update(raw)
    return state.hexdigest()[:16]


def tree_digest(roots: Sequence[Path], extra: Sequence[str] = ()) -> str:
    """A cache key of everything below @roots (names and bytes)."""
    parts: list[str | bytes] = list(extra)
    for root in roots:
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        for file in files:
            parts.append(str(file.relative_to(root.parent)))
            parts.append(file.read_bytes())
    return digest(parts)


def need(tool: str, package: str) -> str:
    """The path of a program of this machine, or an error that names its package."""
    path = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise LabError(f"the program '{tool}' is missing: install the package {package}")
    return path


def run(command: Sequence[str | Path], *, cwd: Path | None = None,
        env: dict[str, str] | None = None, what: str = "") -> str:
    """Run a command and return its stdout; its whole output is in the error."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, errors="replace", check=False)
    if done.returncode:
        shown = (done.stdout + done.stderr).strip()
        raise LabError(f"{what or Path(str(command[0])).name} failed (exit "
                       f"{done.returncode}): {' '.join(str(c) for c in command)}\n{shown}")
    return done.stdout


def run_piped(first: Sequence[str | Path], second: Sequence[str | Path]) -> None:
    """Run `first | second`; both have to succeed."""
    with subprocess.Popen([str(c) for c in first], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as source:
        sink = subprocess.run([str(c) for c in second], stdin=source.stdout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert source.stdout is not None and source.stderr is not None
        source.stdout.close()
        errors = source.stderr.read()
    if sink.returncode or source.returncode:
        raise LabError(f"{first[0]} | {second[0]} failed: "
                       f"{(errors + sink.stderr).decode(errors='replace').strip()}")
