"""What pyproject.toml cannot say: how README.md is shown away from the repository.

A package index has none of the repository's files, so a picture or link to one of them would be
broken there: its words stand in its place.
"""

import re
from pathlib import Path

from setuptools import setup

TO_A_FILE = re.compile(r"!?\[([^\]]+)\]\((?!https?://|#)[^)\s]+\)")

setup(
    long_description=TO_A_FILE.sub(r"\1", Path("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
