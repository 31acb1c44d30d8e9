"""What every part of the room shares: subjects, certificates, the bundle of roots, files."""
