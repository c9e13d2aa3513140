"""The fault suite that takes minutes: every test is marked `chaos` and `long`."""
