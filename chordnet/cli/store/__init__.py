"""The commands about keys and their values."""
