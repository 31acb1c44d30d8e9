"""A node's store on disk: the promises that its answers rest on, and the records of its slots."""
