"""Proofs that need many rows."""
