"""What is between a connection and the system: its socket, and TLS on top of that."""
