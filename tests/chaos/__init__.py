"""Faults with real processes. The short forms run in `make test`; `long/` runs in `make chaos`."""
