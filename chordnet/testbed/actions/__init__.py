"""What is done to a whole network."""
