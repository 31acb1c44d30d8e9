"""The store of keys as seen from outside: what many nodes say of it, asked and put together."""
