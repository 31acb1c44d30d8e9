"""What the commands share: words, sessions, output."""
