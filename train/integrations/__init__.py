"""This project's objectives within other people's trainers."""
