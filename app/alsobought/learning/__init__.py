"""Tables that no view can compute: learned from the events on demand, and swapped in atomically."""
