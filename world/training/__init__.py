"""Train the embedded model from scratch, stage by stage, resumable at every step."""
