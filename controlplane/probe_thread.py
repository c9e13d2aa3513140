"""Probes of deployed agents on a thread of the ticker, so that no sweep waits for a slow server."""

import logging
import threading

from django.db import DatabaseError, connection

from agents.probing import probe_round

logger = logging.getLogger(__name__)
FIRST_SECONDS, PAUSE_SECONDS = 20.0, 10.0
STOP_SECONDS = 1.0


class ProbeLoop:
    """A round every ten seconds, until it is told to stop."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="probes", daemon=True)

    def start(self) -> None:
        """On a thread of its own."""
        self.thread.start()

    def run(self) -> None:
        """Round after round; between them no connection is held."""
        pause = FIRST_SECONDS
        while not self.stopping.wait(pause):
            pause = PAUSE_SECONDS
            try:
                probe_round()
            except DatabaseError as exc:
                logger.warning("database away, probes will try again: %s", exc)
            except Exception:
                logger.exception("probes stumbled")
            finally:
                connection.close()

    def stop(self) -> None:
        """End; a call that is being made is not waited for."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(STOP_SECONDS)
