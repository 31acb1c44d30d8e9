"""What a node keeps: its messages, its store, its incarnation and the peers it has known."""
