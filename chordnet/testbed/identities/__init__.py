"""Identities of a network's nodes: made in its home, and put where the nodes read them."""
