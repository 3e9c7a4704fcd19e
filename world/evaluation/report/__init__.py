"""Turn the measured results into the tables and figures of README, model card and docs."""
