"""Functions that installed code offers as tools."""
