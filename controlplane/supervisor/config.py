"""What the environment says about this start: the variables of the contract, read once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV_MODEL_DIR = ROOT / ".venv" / "share" / "spark-ops-model"


class StartError(Exception):
    """One clear sentence for the person at the terminal; the supervisor ends with status 1."""


@dataclass(frozen=True)
class Config:
    """The choices of one start. `database_url` and `redis_url` are None for embedded servers."""

    data_dir: Path
    host: str
    port: int
    workers: int
    demo: bool
    model: bool
    database_url: str | None
    redis_url: str | None
    public_url: str
    egress_allow: str

    @property
    def logs(self) -> Path:
        """The folder of the children's logs."""
        return self.data_dir / "logs"

    @property
    def local_host(self) -> str:
        """The address this machine reaches the web process by, also when it listens on all."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104

    @property
    def address(self) -> str:
        """What a person types into a browser."""
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return self.public_url or f"http://{host}:{self.port}"


def _number(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isdigit() or not least <= int(text) <= most:
        raise StartError(f"{name} must be a number from {least} to {most}, not {text!r}.")
    return int(text)


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() not in {"off", "0", "false", "no"}


def read(environment: Mapping[str, str] = os.environ) -> Config:
    """Read the environment; a value that makes no sense raises StartError."""
    data_dir = environment.get("SPARKOPS_DATA_DIR") or str(ROOT / ".data")
    demo = _is_on(environment, "SPARKOPS_DEMO")
    return Config(
        data_dir=Path(data_dir).expanduser().resolve(),
        host=environment.get("HOST", "").strip() or "127.0.0.1",
        port=_number(environment, "PORT", 8000, 1, 65535),
        workers=_number(environment, "SPARKOPS_WORKERS", 1, 0, 64),
        demo=demo,
        model=_is_on(environment, "SPARKOPS_DEMO_MODEL"),
        database_url=environment.get("DATABASE_URL") or None,
        redis_url=environment.get("REDIS_URL") or None,
        public_url=environment.get("SPARKOPS_PUBLIC_URL", "").rstrip("/"),
        egress_allow=environment.get("SPARKOPS_EGRESS_ALLOW", ""),
    )
