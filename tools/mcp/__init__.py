"""Servers of the Model Context Protocol: what they offer, and calls to their tools."""
