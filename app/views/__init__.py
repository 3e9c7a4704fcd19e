"""Turn a run into what the cards and the explorer show."""
