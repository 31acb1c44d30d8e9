"""TLS without a socket: bytes in, bytes out, and what a node or client shows of itself."""
