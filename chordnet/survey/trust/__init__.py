"""What the nodes of a secured network say of their certificates, and what is wrong with it."""
