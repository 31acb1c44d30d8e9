"""The broadcast along spanning trees of fingers, and its repair."""
