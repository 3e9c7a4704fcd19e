"""Do what a visitor asks for: answers, comparisons, distances, and runs opened from a file."""
