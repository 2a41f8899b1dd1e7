"""ULX3S with an LFE5U-85F: the accelerator with block RAM for DRAM, behind the USB serial port."""
