"""What engines and actions need: the home, the seam of an engine, faults, ports."""
