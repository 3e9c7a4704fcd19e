"""Save a run as a file and open it again, to the last bit, without any model."""
