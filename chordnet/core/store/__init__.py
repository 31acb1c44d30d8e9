"""One slot of the key-value store: its registers, who holds them, and how that changes."""
