"""The key-value store of one node, pure: its slots, who holds them, and how that changes."""
