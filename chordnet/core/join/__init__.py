"""Joining a ring, and merging rings that have split."""
