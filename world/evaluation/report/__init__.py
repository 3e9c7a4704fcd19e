"""Turn the measured results into tables and figures of README, model card and docs."""
