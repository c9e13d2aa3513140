"""What a start stands on: folders, keys, addresses, servers; and the environment of these."""

import os
import socket
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from controlplane.supervisor import folders, ports, secrets_file
from controlplane.supervisor.config import Config, StartError
from controlplane.supervisor.model import installed_file
from controlplane.supervisor.postgres import Postgres
from controlplane.supervisor.valkey import Valkey

DEMO_EMAIL = "demo@sparkops.local"


@dataclass
class Surroundings:
    """Everything that is fixed before the first process starts."""

    config: Config
    lock: TextIOWrapper
    sockets: Path
    secrets: secrets_file.Secrets
    listener: socket.socket
    demo_socket: socket.socket | None
    model_file: Path | None
    model_port: int
    postgres: Postgres | None
    valkey: Valkey | None

    @property
    def control_socket(self) -> Path:
        """Where our processes reach the supervisor."""
        return self.sockets / "control.sock"

    @property
    def demo_url(self) -> str:
        """The demo service's address, empty without it."""
        if self.demo_socket is None:
            return ""
        return f"http://{ports.LOOPBACK}:{self.demo_socket.getsockname()[1]}"

    def environment(self) -> dict[str, str]:
        """The environment of web, worker and ticker."""
        config = self.config
        granted = [part for part in config.egress_allow.split(",") if part.strip()]
        granted += [self.demo_url.removeprefix("http://")] if self.demo_url else []
        granted += [f"{ports.LOOPBACK}:{self.model_port}"] if self.model_file else []
        ours = {
            "DJANGO_SETTINGS_MODULE": "controlplane.settings",
            "DATABASE_URL": config.database_url or (self.postgres.url() if self.postgres else ""),
            "REDIS_URL": config.redis_url or (self.valkey.url if self.valkey else ""),
            "HOST": config.host,
            "PORT": str(config.port),
            "SPARKOPS_DATA_DIR": str(config.data_dir),
            "SPARKOPS_SECRET_KEY": self.secrets.secret_key,
            "SPARKOPS_ENCRYPTION_KEYS": self.secrets.encryption_keys,
            "SPARKOPS_CONTROL_SOCKET": str(self.control_socket),
            "SPARKOPS_EGRESS_ALLOW": ",".join(granted),
            "SPARKOPS_DEMO_URL": self.demo_url,
            "SPARKOPS_DEMO_MODEL": "on" if self.model_file else "off",
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        given = {
            name: os.environ[name]
            for name in ("SPARKOPS_SECRET_KEY", "SPARKOPS_ENCRYPTION_KEYS")
            if os.environ.get(name)
        }
        together = {**os.environ, **ours, **given}
        # Byte code kept in .venv makes every later start seconds faster.
        together.pop("PYTHONDONTWRITEBYTECODE", None)
        return together


def survey(config: Config) -> Surroundings:
    """Take hold of folders, keys and addresses; StartError where something is in the way."""
    folders.prepare_data_dir(config.data_dir)
    lock = folders.lock_data_dir(config.data_dir)
    listener = ports.listen(config.host, config.port)
    sockets = folders.socket_dir(config.data_dir)
    demo_socket = ports.stable(config.data_dir, "demo service") if config.demo else None
    model_file = installed_file() if config.model else None
    model_port = 0
    if model_file:  # the model opens its port itself, so ours is closed again
        with ports.stable(config.data_dir, "embedded model") as reserved:
            model_port = reserved.getsockname()[1]
    if len(str(sockets)) > 80:
        raise StartError(f"The folder for temporary files is too deep for sockets: {sockets}.")
    return Surroundings(
        config=config,
        lock=lock,
        sockets=sockets,
        secrets=secrets_file.load(config.data_dir),
        listener=listener,
        demo_socket=demo_socket,
        model_file=model_file,
        model_port=model_port,
        postgres=None
        if config.database_url
        else Postgres(config.data_dir / "postgres", sockets, config.logs / "postgres.log"),
        valkey=None if config.redis_url else Valkey(sockets, config.logs / "valkey.log"),
    )
