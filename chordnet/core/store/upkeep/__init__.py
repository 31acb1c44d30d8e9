"""What members of slots do besides requests: what is left behind is collected."""
