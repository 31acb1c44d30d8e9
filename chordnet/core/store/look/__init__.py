"""What a node asks the members of slots for the people who look after the store."""
