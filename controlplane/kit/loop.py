"""One background event loop a process, for sync code that must reach async libraries."""

import asyncio
import os
import threading

_lock = threading.Lock()
_owner: tuple[int, asyncio.AbstractEventLoop] | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The running loop of this process's background thread; started at the first call, and anew
    after a fork."""
    global _owner
    with _lock:
        if _owner is None or _owner[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="background-loop", daemon=True).start()
            _owner = (os.getpid(), loop)
        return _owner[1]
