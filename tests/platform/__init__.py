"""Starting, stopping and supervision, with real processes."""
