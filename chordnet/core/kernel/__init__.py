"""What the parts share: the context, timers, requests, peers, the failure detector, the checks."""
