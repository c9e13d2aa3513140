"""What changed between two configurations."""

from controlplane.kit.comparison import Change, compare

__all__ = ["Change", "compare"]
