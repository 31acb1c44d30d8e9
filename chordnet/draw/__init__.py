"""A ring and a journey, drawn as text and as SVG."""
