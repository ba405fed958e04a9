"""What an older transformers does otherwise; nothing of ours depends on it."""

import pytest
import transformers

RECENT = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 24)
NEEDS_RECENT = pytest.mark.skipif(not RECENT, reason="of transformers before 5.24")
