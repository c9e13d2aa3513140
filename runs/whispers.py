"""The words of models while they are written: gathered, and told to the sockets of their runs about
ten times a second. No events: they take no seq, are kept nowhere, and may be lost."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from controlplane.kit.events import whisper
from controlplane.kit.loop import background_loop

PAUSE_SECONDS = 0.1
# So many at once, of however many steps; the others come with the next turn.
MOST_AT_ONCE = 20
LONGEST_CHARACTERS = 4_000


@dataclass(slots=True)
class Words:
    """What one answer has said since the last telling: its text from the character `at` on."""

    run: UUID
    at: int
    text: str


class Whispers:
    """Gathers the words of all steps of this process. Called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[tuple[UUID, int], Words] = OrderedDict()
        self._said: OrderedDict[UUID, tuple[int, int]] = OrderedDict()
        self._is_scheduled = False

    def begin(self, step: UUID) -> None:
        """The step's model begins to answer, perhaps anew."""
        with self._lock:
            self._said.pop(step, None)

    def say(self, run: UUID, step: UUID, turn: int, text: str) -> None:
        """A piece of the answer to the step's model call number `turn`."""
        with self._lock:
            known, length = self._said.get(step, (turn, 0))
            at = length if known == turn else 0
            self._said[step] = (turn, at + len(text))
            self._said.move_to_end(step)
            while len(self._said) > 2_000:
                self._said.popitem(last=False)
            words = self._waiting.setdefault((step, turn), Words(run, at, ""))
            words.text += text
            if (over := len(words.text) - LONGEST_CHARACTERS) > 0:
                words.text, words.at = words.text[over:], words.at + over
            if self._is_scheduled:
                return
            self._is_scheduled = True
        loop = background_loop()
        loop.call_soon_threadsafe(loop.call_later, PAUSE_SECONDS, self._tell)

    def _tell(self) -> None:
        with self._lock:
            count = min(MOST_AT_ONCE, len(self._waiting))
            told = [self._waiting.popitem(last=False) for _ in range(count)]
            self._is_scheduled = bool(self._waiting)
            if self._is_scheduled:
                background_loop().call_later(PAUSE_SECONDS, self._tell)
        whisper(
            (
                words.run,
                {
                    "type": "tokens",
                    "run": words.run,
                    "step": step,
                    "data": {"turn": turn, "at": words.at, "text": words.text},
                },
            )
            for (step, turn), words in told
        )


_whispers = Whispers()


def begin(step: UUID) -> None:
    """A model begins to answer: its words count from 0."""
    _whispers.begin(step)


def say(run: UUID, step: UUID, turn: int, text: str) -> None:
    """Tell the sockets of a run a piece of what a model writes, soon and best effort."""
    _whispers.say(run, step, turn, text)
