"""Lookups: asking for the owner of a key, and answering."""
