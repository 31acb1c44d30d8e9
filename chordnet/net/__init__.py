"""The protocol on Twisted: connections, the transport and the seams between them."""
