"""A node's life on record, and lived again."""
