"""Methods: one file each, and `METHODS`, where a name finds its file."""
