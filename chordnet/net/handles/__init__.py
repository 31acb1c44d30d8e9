"""What a program holds of something that goes on in a node."""
