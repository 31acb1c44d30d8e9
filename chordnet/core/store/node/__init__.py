"""A node's store: many slots, who proposes their members, and the operations of its clients."""
