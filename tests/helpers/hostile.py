"""Names and texts that mean something in HTML, in Markdown or to matplotlib."""

HOSTILE = [
    "<script>alert(1)</script>", "a|b", "$x_{", "$x_{$", r"\$ and \frac{$", "`code` ``two``",
    "```\nfence", "one\ntwo", "[x](javascript:alert(1))", "![x](http://x/y.png)", "&lt;b&gt;",
    "[x]: javascript:y", "**bold** _it_ ~~no~~", "\\", "ends in \\", '"><img src=x onerror=y>',
    "| --- |", "# heading", "`",
]  # fmt: skip
