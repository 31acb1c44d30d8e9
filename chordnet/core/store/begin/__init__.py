"""How a store begins, and which formation a node's store belongs to."""
