"""Shares out what strangers, peers and clients may take of a node."""
