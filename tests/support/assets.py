"""Whether the committed front-end files are those of their checksum lists."""

import hashlib
from pathlib import Path

from controlplane.supervisor.config import ROOT

STATIC = ROOT / "static"
VENDOR = STATIC / "vendor"
# What only browser tests load.
TEST_VENDOR = ROOT / "tests/browser/vendor"


def faults() -> list[str]:
    """One line for each generated file that is missing or changed, or vendored but not listed."""
    return _misfits(STATIC, VENDOR) + _misfits(TEST_VENDOR, TEST_VENDOR)


def _misfits(base: Path, vendor: Path) -> list[str]:
    sums = vendor / "SHA256SUMS"
    listed = {}
    for line in sums.read_text().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    vendored = [file for file in vendor.rglob("*") if file.is_file() and file != sums]
    present = {
        str(file.relative_to(base)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in {*vendored, *(base / name for name in listed)}
        if file.exists()
    }
    return [
        f"{base.relative_to(ROOT)}/{name}: "
        + ("not listed" if name not in listed else "missing or changed")
        for name in sorted(listed.keys() | present.keys())
        if listed.get(name) != present.get(name)
    ]
