# SPDX-License-Identifier: MIT
"""A private apt that reads trixie from the archive this machine already uses.

Nothing of the machine's own apt is changed and root is not needed: sources,
package lists and state lie in the cache. What is taken over is the archive's
address, the key ring that its entry names, and the Acquire:: settings
(proxies, retries). apt itself verifies the Release signature and the hash of
everything it downloads; each file's SHA256 is compared with the signed
package list once more before it enters the cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .base import LabError, cache_dir, digest, lock, need, run, say, write_atomically

SUITES = ("trixie", "trixie-updates", "trixie-backports")
DEBIAN_RELEASES = ("bookworm", "trixie", "forky", "duke", "sid", "oldstable", "stable", "testing",
                   "unstable")
LISTS_FRESH_S = 12 * 3600
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NO_SITE = ("no Debian archive was found in this machine's apt configuration: "
           "set P2PDMA_DEBIAN_MIRROR to the address of one")
NO_KEY = ("apt can't verify trixie's signature: this machine's key ring lacks its key. "
          "Install a newer debian-archive-keyring (2023.3+deb12u1 or later), for example\n"
          "  apt-get update && apt-get install debian-archive-keyring")


@dataclass(frozen=True)
class Package:
    """One version of one package, as the signed package list describes it."""

    name: str
    version: str
    sha256: str
    filename: str
    depends: str
    source: str


@dataclass(frozen=True)
class Source:
    """One entry of the machine's own apt configuration."""

    uri: str
    release: str
    signed_by: str


def _deb822(path: Path) -> Iterator[Source]:
    """The entries of a .sources file; continuation lines (a key, say) are kept."""
    stanza: dict[str, str] = {}
    field = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() + [""]:
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and line.strip():
            stanza[field] = stanza.get(field, "") + "\n" + line
        elif ":" in line:
            field, value = line.split(":", 1)
            field = field.strip().lower()
            stanza[field] = value.strip()
        elif not line.strip():
            if "deb" in stanza.get("types", "").split() and stanza.get("enabled") != "no":
                for uri in stanza.get("uris", "").split():
                    for suite in stanza.get("suites", "").split():
                        yield Source(uri.rstrip("/"), suite, stanza.get("signed-by", ""))
            stanza = {}


def _one_line(path: Path) -> Iterator[Source]:
    """The entries of a sources.list file."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)", line)
        if match:
            key = re.search(r"signed-by=(\S+)", match[1] or "")
            yield Source(match[2].rstrip("/"), match[3], key[1] if key else "")


def machine_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Every entry, whether or not its lists have ever been fetched."""
    found: list[Source] = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            found += _deb822(path)
        elif path.suffix == ".list" and path.is_file():
            found += _one_line(path)
    return found


def archive_source() -> Source:
    """The Debian archive to use, and the key that its entry names."""
    found = machine_sources()
    chosen = os.environ.get("P2PDMA_DEBIAN_MIRROR", "").rstrip("/")
    source = next((s for s in found if s.uri == chosen), Source(chosen, "", "")) \
        if chosen else pick_source(found)
    if not source.signed_by and KEYRING.exists():
        source = Source(source.uri, source.release, str(KEYRING))
    return source


def pick_source(sources: list[Source]) -> Source:
    """The Debian archive among @sources; third parties use other release names."""
    usable = [s for s in sources
              if s.release.split("-")[0] in DEBIAN_RELEASES
              and "security" not in s.uri + s.release
              and re.match(r"(https?|file|copy|mirror\+\w+):", s.uri)]
    if not usable:
        raise LabError(NO_SITE)
    return next((s for s in usable if "debian" in s.uri), usable[0])


def _acquire_settings() -> str:
    """The machine's own download settings, without those that weaken checks."""
    lines = []
    for line in run([need("apt-config", "apt"), "dump"]).splitlines():
        if re.match(r"Acquire::(https?|ftp|Retries|ForceIPv[46])\b.* \"..*\";$", line):
            lines.append(line)
    return "\n".join(lines)


class Archive:
    """trixie and its backports, as apt sees them."""

    def __init__(self) -> None:
        source = archive_source()
        self.site = source.uri
        self.root = cache_dir() / "apt" / digest([self.site])
        self.debs = cache_dir() / "debs"
        self.debs.mkdir(parents=True, exist_ok=True)
        self._records: dict[str, list[Package]] = {}
        self._configure(source.signed_by)

    def _configure(self, key: str) -> None:
        for sub in ("lists/partial", "cache/archives/partial", "state"):
            (self.root / sub).mkdir(parents=True, exist_ok=True)
        status = self.root / "state" / "status"
        if not status.exists():
            status.touch()
        stanza = (f"Types: deb deb-src\nURIs: {self.site}\nSuites: {' '.join(SUITES)}\n"
                  "Components: main\nArchitectures: amd64\n")
        if key:
            stanza += f"Signed-By:{key if key.startswith(chr(10)) else ' ' + key}\n"
        conf = "\n".join([
            _acquire_settings(),
            f'Dir::State "{self.root}/state";',
            f'Dir::State::lists "{self.root}/lists";',
            f'Dir::State::status "{status}";',
            f'Dir::Cache "{self.root}/cache";',
            f'Dir::Etc::sourcelist "{self.root}/lab.sources";',
            'Dir::Etc::sourceparts "/dev/null";',
            'Dir::Etc::main "/dev/null";',
            'Dir::Etc::parts "/dev/null";',
            'Dir::Etc::preferences "/dev/null";',
            'Dir::Etc::preferencesparts "/dev/null";',
            'APT::Architecture "amd64";',
            'APT::Architectures { "amd64"; };',
            'APT::Sandbox::User "root";',
            'Acquire::Languages "none";',
            'Acquire::AllowInsecureRepositories "false";', ""])
        for name, text in (("lab.sources", stanza), ("apt.conf", conf)):
            path = self.root / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text)
        self.env = dict(os.environ, APT_CONFIG=str(self.root / "apt.conf"), LC_ALL="C")

    def update(self, force: bool = False) -> None:
        """Fetch the package lists unless they are fresh; offline, old ones will do."""
        stamp = self.root / "updated"
        with lock("apt-update"):
            fresh = stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_FRESH_S
            if fresh and not force:
                return
            say(f"fetching package lists from {self.site}")
            done = subprocess.run([need("apt-get", "apt"), "update", "-q",
                                   "-o", "APT::Update::Error-Mode=any"],
                                  env=self.env, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                stamp.touch()
                return
            text = done.stdout + done.stderr
            if re.search(r"NO_PUBKEY|Missing key|not signed|couldn't be verified|public key", text):
                raise LabError(f"{NO_KEY}\n{text.strip()}")
            if not stamp.exists():
                raise LabError(f"the package lists can't be fetched from {self.site}\n"
                               f"{text.strip()}")
            say("the archive does not answer: going on with the package lists of "
                + time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp.stat().st_mtime)))

    def names(self, prefix: str) -> list[str]:
        """The names of all packages that begin with @prefix."""
        self.update()
        return run([need("apt-cache", "apt"), "pkgnames", prefix], env=self.env).split()

    def load(self, names: Iterable[str]) -> None:
        """Read the records of @names in one go; unknown names have none."""
        wanted = sorted(set(names) - self._records.keys())
        if not wanted:
            return
        self.update()
        done = subprocess.run([need("apt-cache", "apt"), "show", "--all-versions", *wanted],
                              env=self.env, capture_output=True, text=True, check=False)
        for name in wanted:
            self._records[name] = []
        for stanza in done.stdout.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines()
                          if ": " in line and line[0] not in " \t")
            if fields.get("Package") in self._records and "Filename" in fields:
                package = Package(fields["Package"], fields["Version"], fields.get("SHA256", ""),
                                  fields["Filename"], fields.get("Depends", ""),
                                  fields.get("Source", fields["Package"]))
                if package not in self._records[package.name]:
                    self._records[package.name].append(package)

    def versions(self, name: str) -> list[Package]:
        """Every version of @name that the archive offers."""
        self.load([name])
        return self._records[name]

    def package(self, name: str, version: str | None = None) -> Package:
        """One version of @name; without @version the one trixie itself has."""
        found = [p for p in self.versions(name) if version in (None, p.version)]
        if not found:
            raise LabError(f"{self.site} has no {name} {version or ''}".rstrip())
        stable = [p for p in found if "~bpo" not in p.version]
        return (stable or found)[0]

    def closure(self, roots: Iterable[str], left_out: Iterable[str]) -> list[Package]:
        """@roots and all they depend on, by the first alternative of each dependency."""
        unwanted = set(left_out)
        found: dict[str, Package] = {}
        wanted = list(roots)
        while wanted:
            self.load(wanted)
            following: list[str] = []
            for name in wanted:
                if name in found or name in unwanted or not self.versions(name):
                    continue
                package = self.package(name)
                found[name] = package
                for clause in package.depends.split(","):
                    first = clause.split("|")[0].strip()
                    following.append(re.split(r"[ (:]", first, maxsplit=1)[0])
            wanted = [name for name in following if name and name not in found]
        return sorted(found.values(), key=lambda p: p.name)

    def deb(self, package: Package) -> Path:
        """The verified file of @package, downloaded if need be."""
        target = self.debs / os.path.basename(package.filename)
        if target.exists():
            return target
        with lock(f"deb-{package.name}"):
            if not target.exists():
                self._download(package, target)
        return target

    def _download(self, package: Package, target: Path) -> None:
        if not package.sha256:
            raise LabError(f"the package list has no SHA256 for {package.name}")
        work = Path(tempfile.mkdtemp(prefix=".get.", dir=self.debs))
        try:
            self._fetch(["download", f"{package.name}={package.version}"], work, package.name)
            files = list(work.glob("*.deb"))
            if len(files) != 1 or sha256(files[0]) != package.sha256:
                raise LabError(f"the download of {package.name} {package.version} "
                               "does not have the SHA256 of the signed package list")
            files[0].rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def source_file(self, name: str, version: str, pattern: str) -> Path:
        """One verified file of a source package (say, the .orig tarball)."""
        self.update()
        out = run([need("apt-cache", "apt"), "showsrc", name], env=self.env)
        for stanza in out.split("\n\n"):
            if not re.search(rf"^Version: {re.escape(version)}$", stanza, re.M):
                continue
            sums = re.search(r"^Checksums-Sha256:\n((?: .*\n?)+)", stanza, re.M)
            where = re.search(r"^Directory: (\S+)$", stanza, re.M)
            for line in (sums[1].splitlines() if sums and where else []):
                checksum, _, file = line.split()
                if re.search(pattern, file) and where:
                    return self._source(name, version, file, checksum)
        raise LabError(f"{self.site} has no source {name} {version}")

    def _source(self, name: str, version: str, file: str, checksum: str) -> Path:
        target = self.debs / file
        with lock(f"src-{name}"):
            if target.exists():
                return target
            work = Path(tempfile.mkdtemp(prefix=".get.", dir=self.debs))
            try:
                kind = "--tar-only" if ".orig." in file else "--diff-only"
                self._fetch(["source", "--download-only", kind, f"{name}={version}"],
                            work, name)
                if sha256(work / file) != checksum:
                    raise LabError(f"{file} does not have the SHA256 of the signed source list")
                (work / file).rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return target

    def _fetch(self, arguments: list[str], work: Path, what: str) -> None:
        """Run apt-get in @work and show how far it is."""
        reader, writer = os.pipe()
        command = [need("apt-get", "apt"), "-q", "-o", f"APT::Status-Fd={writer}", *arguments]
        with subprocess.Popen(command, cwd=work, env=self.env, pass_fds=[writer], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            os.close(writer)
            with os.fdopen(reader, encoding="utf-8") as status:
                for line in status:
                    match = re.match(r"dlstatus:[^:]*:([0-9.]+):", line)
                    if match and sys.stderr.isatty():
                        print(f"\r  {what}: {float(match[1]):3.0f} %", end="", file=sys.stderr,
                              flush=True)
            output = process.stdout.read() if process.stdout else ""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        if process.returncode:
            raise LabError(f"{what} can't be downloaded from {self.site}\n{output.strip()}")
        say(f"  fetched {what}")


def sha256(path: Path) -> str:
    """The SHA256 of a file, in hexadecimal."""
    state = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()
