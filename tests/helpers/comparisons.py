"""What tests of comparisons read their numbers from."""

import numpy as np


def rows_of(comparison):
    """Return the rows of a comparison's table by objective."""
    return comparison.table.set_index("objective").T.to_dict()


def digits(*rows):
    """Return (rows, problems) numbers from strings of digits."""
    return np.array([[int(digit) for digit in row] for row in rows])
