"""Whoever is told how a run goes: its progress on the screen, trackers, callbacks of one's own."""
