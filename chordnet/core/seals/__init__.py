"""Seals of origin, and signed receipts: what a node signs, and how that is checked."""
