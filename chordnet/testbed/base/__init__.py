"""What engines and actions share: the home, an engine's interface, faults, ports."""
