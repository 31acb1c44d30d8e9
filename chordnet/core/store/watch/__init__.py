"""What is not an operation: watches of keys, and reads from the past."""
