"""`python -m controlplane.supervisor`: what `make up` runs once everything is installed."""

import sys

from controlplane.supervisor.config import StartError, read
from controlplane.supervisor.run import Supervisor, say


def main() -> int:
    """Run until stopped; what is in the way is said in one sentence."""
    try:
        supervisor = Supervisor(read())
    except StartError as error:
        say(str(error))
        return 1
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
