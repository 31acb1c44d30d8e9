"""What the message log and the state directory have in common."""
