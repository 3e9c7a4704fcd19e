"""Read and write files safely: whole files or none, and JSON of strangers within bounds."""
