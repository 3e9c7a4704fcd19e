"""Make the files that a visitor saves: overlays, films, run files."""
