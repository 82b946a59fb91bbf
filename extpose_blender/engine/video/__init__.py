"""Clips: what is in a file, its frames by presentation time, and how its camera turns."""
