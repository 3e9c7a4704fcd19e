"""Read and write files safely: write whole files or none, and read untrusted JSON within bounds."""
