"""The parts of an HTTP tool: its config, its request, its answer. Pure; nothing is sent here."""
