"""Seams, limits and small tools of the runtime."""
