"""One slot: its registers at a member, operations on its keys, and how its members change."""
