"""How figures, times and states are written on a page; pure functions, no HTML."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

NONE = "–"
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


class Look(NamedTuple):
    """How a state is shown: `label` in words, `tone` as colour, `shape` as drawing."""

    label: str
    tone: str
    shape: str


# One word of the whole product, one look: text, colour and shape together.
TONES: dict[tuple[str, str], tuple[str, ...]] = {
    ("green", "done"): (
        "succeeded",
        "healthy",
        "released",
        "active",
        "ready",
        "approved",
        "done",
        "resolved",
        "enabled",
        "live",
        "available",
        "free",
        "connected",
        "in_force",
    ),
    ("blue", "running"): (
        "running",
        "busy",
        "cancelling",
        "starting",
        "progressing",
        "deploying",
        "draining",
        "intent",
        "testing",
    ),
    ("grey", "queued"): (
        "queued",
        "pending",
        "draft",
        "idle",
        "inactive",
        "open",
        "held",
        "observe",
        "unknown",
        "new",
        "to_come",
    ),
    ("amber", "waiting"): (
        "waiting",
        "approval",
        "degraded",
        "paused",
        "parked",
        "retrying",
        "acknowledged",
        "quarantined",
        "warn",
        "require_approval",
        "unpriced",
        "frozen",
        "reachable",
    ),
    ("red", "failed"): (
        "failed",
        "unhealthy",
        "timed_out",
        "rejected",
        "dead",
        "lost",
        "deny",
        "expired",
        "error",
        "refused",
        "unreachable",
    ),
    ("grey", "cancelled"): (
        "cancelled",
        "skipped",
        "archived",
        "disabled",
        "retired",
        "deprecated",
        "stopped",
        "superseded",
        "past",
        "waived",
        "off",
        "revoked",
    ),
}
LOOKS = {
    word: Look(word.replace("_", " ").capitalize(), tone, shape)
    for (tone, shape), words in TONES.items()
    for word in words
}


def look_of(status: Any) -> Look:
    """The look of a status word; an unknown word is grey and round, never an error."""
    word = str(status or "unknown")
    return LOOKS.get(word) or Look(word.replace("_", " ").capitalize(), "grey", "queued")


def format_duration(milliseconds: Any) -> str:
    """`412 ms`, `1.24 s`, `11.8 s`, `3 m 12 s`, `2 h 05 m`, `3 d 4 h`; a dash for nothing."""
    if milliseconds is None or milliseconds == "":
        return NONE
    ms = max(0, round(float(milliseconds)))
    if ms < SECOND:
        return f"{ms} ms"
    if ms < 9_995:
        return f"{ms / SECOND:.2f} s"
    if ms < 59_950:
        return f"{ms / SECOND:.1f} s"
    seconds = round(ms / SECOND)
    if seconds < 3_600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    minutes = round(ms / MINUTE)
    if minutes < 1_440:
        return f"{minutes // 60} h {minutes % 60:02d} m"
    hours = round(ms / HOUR)
    return f"{hours // 24} d {hours % 24} h"


def format_money(amount: Any, currency: str = "USD") -> str:
    """`$12.40`, `$0.0042`, two leading digits below that; `unpriced` where nothing had a price."""
    if amount is None or amount == "":
        return "unpriced"
    try:
        value = Decimal(str(amount))
    except InvalidOperation:
        return "unpriced"
    if abs(value) >= 1:
        digits = 2
    elif value == 0 or abs(value) >= Decimal("0.0001"):
        digits = 4
    else:
        digits = -value.adjusted() + 1
    text = f"{abs(value):,.{digits}f}"
    sign = "−" if value < 0 else ""
    symbol = SYMBOLS.get(currency)
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency}"


def format_count(number: Any) -> str:
    """`12,408`; a dash for nothing."""
    if number is None or number == "":
        return NONE
    return f"{number:,}"


def format_ago(moment: datetime | None, now: datetime | None = None) -> str:
    """`now`, `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago`, then the date; `in …` ahead of now."""
    if moment is None:
        return NONE
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    size = abs(seconds)
    if size < 5:
        return "now"
    if size < 60:
        words = f"{int(size)} s"
    elif size < 3_600:
        words = f"{int(size // 60)} min"
    elif size < 86_400:
        words = f"{int(size // 3_600)} h"
    elif size < 30 * 86_400:
        words = f"{int(size // 86_400)} d"
    else:
        return f"{moment.day} {moment:%b %Y}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def format_moment(moment: datetime | None) -> str:
    """The exact time in UTC, to the second."""
    if moment is None:
        return NONE
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short(identifier: Any) -> str:
    """The last eight characters of an id, which are its random part."""
    return str(identifier or "")[-8:]


def initials(name: Any) -> str:
    """One or two letters for a person: of the first and last word, or of the e-mail."""
    words = str(name or "?").split("@")[0].replace(".", " ").replace("_", " ").split() or ["?"]
    letters = words[0][0] + (words[-1][0] if len(words) > 1 else words[0][1:2])
    return letters.upper()
