"""Every interleaving of one slot of the store."""
