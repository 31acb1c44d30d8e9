"""What a node's store does beside its slots: with whom it is in one formation."""
