"""The message log: in memory, or in SQLite behind a write-ahead file."""
