"""Tell how the method worked on this input, step by step, with the numbers of this run."""
