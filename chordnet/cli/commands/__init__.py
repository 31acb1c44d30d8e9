"""The commands about a network, a module a family."""
