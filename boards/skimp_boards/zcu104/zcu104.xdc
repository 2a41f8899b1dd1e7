# Constraints of zcu104_top in the programmable logic of a ZCU104.
#
# NOT RUN HERE: there was no Vivado where this was written.
#
# In the block design the PS's clock constrains aclk; synthesised by itself (out of context) the
# module needs its own. 300 MHz: what the preset zcu104 is meant for.
create_clock -quiet -name aclk -period 3.333 [get_ports -quiet aclk]

# The reset comes at any time; its chain of three registers (ASYNC_REG) brings it in step.
set_false_path -quiet -to [get_pins -quiet -hierarchical -filter {NAME =~ *reset_stage_*_reg/PRE}]
set_false_path -quiet -to [get_pins -quiet -hierarchical -filter {NAME =~ *reset_stage_*_reg/CLR}]

# irq ends in the PS's interrupt controller, which takes it in step with a clock of its own.
set_false_path -quiet -to [get_ports -quiet irq]

# No pins: everything that zcu104_top is connected to is inside the PS.
