"""A search through everything that recoveries of one slot can come to."""
