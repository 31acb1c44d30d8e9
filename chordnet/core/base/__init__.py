"""What every part of the core is made of: identifiers, messages, events, effects, settings."""
