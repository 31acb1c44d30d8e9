"""Every interleaving of recoveries of one slot."""
