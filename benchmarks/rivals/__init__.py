"""What people would use instead, each behind the same small adapter."""
