"""Bytes, pure: how messages become frames and frames messages."""
