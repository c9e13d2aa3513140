"""Whether the committed front-end files are those of their checksum list."""

import hashlib

from controlplane.supervisor.config import ROOT

STATIC = ROOT / "static"
LIST = STATIC / "vendor" / "SHA256SUMS"


def faults() -> list[str]:
    """One line for each generated file that is missing or changed, or vendored but not listed."""
    listed = {}
    for line in LIST.read_text().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    vendored = [file for file in (STATIC / "vendor").rglob("*") if file.is_file() and file != LIST]
    present = {
        str(file.relative_to(STATIC)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in {*vendored, *(STATIC / name for name in listed)}
        if file.exists()
    }
    return [
        f"static/{name}: " + ("not listed" if name not in listed else "missing or changed")
        for name in sorted(listed.keys() | present.keys())
        if listed.get(name) != present.get(name)
    ]
