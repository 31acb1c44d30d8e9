"""What must be true of a whole ring, from identifiers alone."""
