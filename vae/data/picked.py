"""Some rows of an array that is too large for memory, as an array that a feed can hold."""

import numpy as np


class Picked:
    """Rows of a memory map, read as they are asked for: what indexing would copy into memory.

    array: (N, ...), as it lies on the disk.
    rows:  (n,) which of them.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        self.array, self.rows = array, rows
        self.shape, self.dtype, self.ndim = (len(rows), *array.shape[1:]), array.dtype, array.ndim
        self.nbytes = len(rows) * array[:1].nbytes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen) -> np.ndarray:
        return np.asarray(self.array[self.rows[chosen]])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)
