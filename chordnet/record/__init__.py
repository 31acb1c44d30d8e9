"""A node's life recorded, and replayed."""
