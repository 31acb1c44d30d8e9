"""What the store's parts speak of: slots, ballots, records, configurations, messages, outcomes."""
