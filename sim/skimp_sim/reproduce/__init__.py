"""Published results, computed again with their own definitions: `skimp reproduce`.

One module per reproduction, `command` prints them. The smaller modules are what they share: layers,
tiles, the limit of DRAM traffic, schedules, row buffers, tables.
"""
