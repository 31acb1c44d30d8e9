"""Scenarios: made, played, checked, shrunk."""
