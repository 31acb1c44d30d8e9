"""The commands that need no network: simulation and replay."""
