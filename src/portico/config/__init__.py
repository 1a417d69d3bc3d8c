"""Documents as people write them: the schema, the loader with positions, and the check that names every problem."""
