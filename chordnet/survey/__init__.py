"""A network as seen from outside: asked, compared, judged."""
