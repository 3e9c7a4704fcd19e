"""Train the embedded model from nothing, stage by stage, resumable at every point."""
