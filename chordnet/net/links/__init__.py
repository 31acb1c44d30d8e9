"""Connections: greeting, dialling, and the links to peers."""
