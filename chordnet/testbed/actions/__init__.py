"""What commands do to a whole network."""
