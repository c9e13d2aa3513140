"""Keeps the operator's own credentials away from the servers of projects."""

import os

_PREFIXES = ("OPENAI_", "ANTHROPIC_")


def forget_ambient_credentials() -> None:
    """Drop what the vendors' clients would read from the environment by themselves: keys,
    organisations, headers and base URLs of the operator's shell have no place in a project's
    call. Configuration is the only source."""
    for name in [name for name in os.environ if name.startswith(_PREFIXES)]:
        del os.environ[name]
