"""Serve one model family per file: how it encodes, projects, splices and numbers its visual tokens."""
