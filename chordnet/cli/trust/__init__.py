"""Commands about the members of a secured network."""
