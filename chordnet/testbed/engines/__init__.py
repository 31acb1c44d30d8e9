"""Where nodes run: processes, or containers."""
