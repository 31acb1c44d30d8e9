"""What has been recorded and what is lacking: the ledger, anti-entropy, per-origin order."""
