"""What a node shows of itself: hooks, traces, status, accounts."""
