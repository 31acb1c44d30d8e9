"""The finger table, and the hints by which nodes keep each other's tables right."""
