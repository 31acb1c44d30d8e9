"""What the operator of a secured network does about its members: invite, revoke, rotate."""
