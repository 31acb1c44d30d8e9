"""The ring itself: successors, predecessor, routes, and which node has which name."""
