"""Whether histories of a key-value store are right: what clients asked, when, and were told."""
