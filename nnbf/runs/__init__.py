"""Run folders: one schema of what is in them, and what reads and writes it."""
