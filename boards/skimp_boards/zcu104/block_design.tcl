# Block design around zcu104_top, and the way to a bitstream.
#
# NOT RUN HERE: there was no Vivado where this was written. It keeps to commands of UG835 and to the
# parameters of the Zynq UltraScale+ PS (PG201); check it against your release before you trust it.
#
#   skimp verilog --board zcu104 -o build/zcu104
#   cd build/zcu104 && vivado -mode batch -source block_design.tcl
#
# It reads zcu104_top.v and zcu104.xdc of the folder it stands in, and leaves skimp/skimp.xsa.

set here  [file dirname [file normalize [info script]]]
set part  xczu7ev-ffvc1156-2-e
set mhz   300
set base  0xA0000000   ;# of the registers, behind HPM0

create_project -force skimp $here/skimp -part $part
set board [lindex [get_board_parts -quiet -latest_file_version *zcu104*] 0]
if {$board eq ""} { error "the board files of the ZCU104 are missing: install them in Vivado" }
set_property board_part $board [current_project]
add_files -norecurse $here/zcu104_top.v
add_files -fileset constrs_1 -norecurse $here/zcu104.xdc

create_bd_design system

# PS: DDR, MIO and clocks as the board has them; one clock, one reset, one interrupt for us.
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e \
    -config {apply_board_preset "1"} $ps
set skimp [create_bd_cell -type module -reference zcu104_top skimp]
set ports [lsort [get_bd_intf_pins -of_objects $skimp -filter {NAME =~ m_axi_hp*}]]

# S_AXI_HP0..3_FPD are the PS's S_AXI_GP2..5; 128 bits each.
set settings [list \
    CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
    CONFIG.PSU__MAXIGP0__DATA_WIDTH 32 \
    CONFIG.PSU__USE__IRQ0 1 \
    CONFIG.PSU__FPGA_PL0_ENABLE 1 CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $mhz]
for {set p 0} {$p < [llength $ports]} {incr p} {
    set gp [expr {$p + 2}]
    lappend settings CONFIG.PSU__USE__S_AXI_GP$gp 1 CONFIG.PSU__SAXIGP${gp}__DATA_WIDTH 128
}
set_property -dict $settings $ps

set clock [get_bd_pins ps/pl_clk0]
set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]
connect_bd_net $clock [get_bd_pins reset/slowest_sync_clk] [get_bd_pins skimp/aclk]
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins skimp/aresetn]

# Registers: HPM0 speaks AXI4, the accelerator AXI4-Lite.
set lite [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect lite]
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1] $lite
connect_bd_net $clock [get_bd_pins lite/aclk] [get_bd_pins ps/maxihpm0_fpd_aclk]
connect_bd_net [get_bd_pins reset/interconnect_aresetn] [get_bd_pins lite/aresetn]
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_HPM0_FPD] [get_bd_intf_pins lite/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins lite/M00_AXI] [get_bd_intf_pins skimp/s_axi]

# DRAM: each master straight to an HP port, on the same clock.
for {set p 0} {$p < [llength $ports]} {incr p} {
    connect_bd_intf_net [get_bd_intf_pins skimp/m_axi_hp$p] [get_bd_intf_pins ps/S_AXI_HP${p}_FPD]
    connect_bd_net $clock [get_bd_pins ps/saxihp${p}_fpd_aclk]
}
connect_bd_net [get_bd_pins skimp/irq] [get_bd_pins ps/pl_ps_irq0]

assign_bd_address -offset $base -range 4K -target_address_space [get_bd_addr_spaces ps/Data] \
    [get_bd_addr_segs skimp/s_axi/reg0] -force
assign_bd_address
validate_bd_design
save_bd_design

make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "implementation failed" }
open_run impl_1
report_timing_summary -file $here/timing.rpt
report_utilization -hierarchical -file $here/utilization.rpt
write_hw_platform -fixed -include_bit -force $here/skimp/skimp.xsa
