"""`python -m controlplane.supervisor.command …`: a manage.py command on the running instance."""

import os
import sys

from controlplane.supervisor import folders, secrets_file
from controlplane.supervisor.config import ROOT, StartError, read
from controlplane.supervisor.control import ask
from controlplane.supervisor.postgres import address
from controlplane.supervisor.valkey import address as valkey_address


def environment() -> dict[str, str]:
    """What the instance of this data folder runs with; StartError where none runs."""
    config = read()
    sockets = folders.socket_dir(config.data_dir)
    control = sockets / "control.sock"
    try:
        ask(control, "status")
    except OSError:
        raise StartError(
            f"Spark-Ops is not running on the data folder {config.data_dir}: make up first."
        ) from None
    keys = secrets_file.load(config.data_dir)
    return {
        "DJANGO_SETTINGS_MODULE": "controlplane.settings",
        "DATABASE_URL": config.database_url or address(sockets),
        "REDIS_URL": config.redis_url or valkey_address(sockets),
        "SPARKOPS_DATA_DIR": str(config.data_dir),
        "SPARKOPS_SECRET_KEY": keys.secret_key,
        "SPARKOPS_ENCRYPTION_KEYS": keys.encryption_keys,
        "SPARKOPS_CONTROL_SOCKET": str(control),
        **os.environ,
    }


def main() -> int:
    """Become `manage.py …`; a sentence and 1 when nothing runs here."""
    try:
        os.environ.update(environment())
    except StartError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    manage = str(ROOT / "manage.py")
    os.execv(sys.executable, [sys.executable, manage, *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
