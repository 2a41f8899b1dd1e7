"""Search over geometries, scratchpads and buffers under a board's budget."""
