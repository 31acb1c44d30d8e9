"""The ring itself: successors, predecessor, fingers, and who has which name."""
