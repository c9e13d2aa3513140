"""What a socket's place takes in: events in order, and words that crowd out nothing."""

from controlplane.frames import Message
from controlplane.live import WHISPERS_BEFORE, Listener


async def test_words_move_no_place_and_wait_behind_no_crowd():
    curious, other = Listener(seq=4, hears_whispers=True), Listener(seq=4)
    for listener in (curious, other):
        listener.overhear(Message("words"))
    assert (curious.waiting.qsize(), other.waiting.qsize(), curious.seq) == (1, 0, 4)
    for seq in range(5, 5 + WHISPERS_BEFORE):
        curious.give(seq, Message("event"))
    curious.overhear(Message("left out"))
    assert curious.waiting.qsize() == 1 + WHISPERS_BEFORE
    assert not curious.is_slow
