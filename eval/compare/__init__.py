"""Runs compared: intervals, paired differences, report."""
