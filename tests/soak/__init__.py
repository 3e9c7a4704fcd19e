"""Put many visitors under one page at once and watch what it holds: `python -m tests.soak --help`."""
