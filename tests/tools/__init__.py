"""Tools in runs: limits, servers and agents, with real processes on both sides."""
