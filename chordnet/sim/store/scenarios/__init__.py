"""Things that went wrong in other systems, each played on the real store in virtual time."""
