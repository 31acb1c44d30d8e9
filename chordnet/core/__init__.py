"""The protocol, pure: events in, effects out. No socket, clock, thread or global randomness."""
