"""Map visual tokens to the pixels they saw: one grid, tiles with an overview, packed rows."""
