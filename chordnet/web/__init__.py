"""What a node tells programs that speak HTTP: if it is ready, and what it counts."""
