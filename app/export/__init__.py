"""Make the files that a visitor takes home: overlays, films, run files."""
