"""Each job done the course project's way and ours on the same files, in pairs, and their ratio."""
