"""What a principal came with, kept so that it can be asked again whether it still holds."""

from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

from controlplane.kit.ids import parse_uuid


@dataclass(frozen=True)
class Credential:
    """How somebody signed in: by access token (its refresh family), API key (its prefix) or
    session (its key). `mark` is the fingerprint of the password it was given out under."""

    kind: Literal["access", "api_key", "session"]
    user_id: UUID
    mark: str = ""
    family: UUID | None = None
    prefix: str = ""
    session_key: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a ticket."""
        return {name: str(value) if value else "" for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> "Credential":
        """From `as_dict`."""
        user_id = parse_uuid(facts["user_id"])
        if user_id is None:
            raise ValueError("A credential names a user.")
        family = parse_uuid(facts["family"])
        return cls(**{**facts, "user_id": user_id, "family": family})
