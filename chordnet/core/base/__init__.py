"""What all parts of the core share: identifiers, messages, events, effects, settings."""
