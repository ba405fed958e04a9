"""What a run measured at its probe pairs while it trained, over steps."""
