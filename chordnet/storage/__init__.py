"""What a node keeps: its messages, its incarnation and the peers it has known."""
