"""Every interleaving of a tiny ring."""
