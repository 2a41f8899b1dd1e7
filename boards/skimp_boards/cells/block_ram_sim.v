// Simulation models of the block RAMs RAMB18E2 and RAMB36E2, written from their user guide (UG573,
// "Block RAM Resources") for what Yosys makes of our memories: one common clock, no output registers,
// ports of whole bytes (9 bits with the parity bit), simple or true dual port, contents 0 at the
// start. Anything else stops the simulation ($fatal), or is a parameter that is not there.
//
// More careful than the device must be: what a port reads in the clock in which the other one writes
// it is old data at best ("Address Collision": READ_FIRST and CLOCK_DOMAINS = COMMON). Yosys leaves
// CLOCK_DOMAINS as it is, INDEPENDENT, so here it comes out inverted. No memory of ours may rely on it.

`default_nettype none

// Both sizes: HALF bytes at the pins of a port, so that both ports together move 2 * HALF bytes where
// the memory is a simple dual port one (UG573, "Simple Dual-Port Block RAM").
module skimp_block_ram #(
    parameter integer HALF = 4,
    parameter integer READ_WIDTH_A = 0,
    parameter integer READ_WIDTH_B = 0,
    parameter integer WRITE_WIDTH_A = 0,
    parameter integer WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "NO_CHANGE",
    parameter WRITE_MODE_B = "NO_CHANGE"
) (
    input  wire              clk_a,
    input  wire              clk_b,
    input  wire              en_a,
    input  wire              en_b,
    input  wire [15:0]       addr_a,
    input  wire [15:0]       addr_b,
    input  wire [HALF-1:0]   we_a,
    input  wire [2*HALF-1:0] we_b,
    input  wire [8*HALF-1:0] din_a,
    input  wire [8*HALF-1:0] din_b,
    input  wire [HALF-1:0]   dinp_a,
    input  wire [HALF-1:0]   dinp_b,
    output wire [8*HALF-1:0] dout_a,
    output wire [8*HALF-1:0] dout_b,
    output wire [HALF-1:0]   doutp_a,
    output wire [HALF-1:0]   doutp_b
);
    /*verilator no_inline_module*/
    localparam integer BYTES = 1024 * HALF;
    localparam integer PINS = 9 * HALF;
    localparam SDP = READ_WIDTH_A > PINS || WRITE_WIDTH_B > PINS;
    localparam integer NUM_RA = READ_WIDTH_A / 9, NUM_WA = WRITE_WIDTH_A / 9;
    localparam integer NUM_RB = READ_WIDTH_B / 9, NUM_WB = WRITE_WIDTH_B / 9;

    function legal(input integer width, input integer most);
        legal = width == 0 || ((width == 9 || width == 18 || width == 36 || width == 72)
                               && width <= most);
    endfunction

    initial begin
        if (!legal(READ_WIDTH_A, 2 * PINS) || !legal(WRITE_WIDTH_B, 2 * PINS)
            || !legal(READ_WIDTH_B, PINS) || !legal(WRITE_WIDTH_A, PINS))
            $fatal(1, "block RAM model: widths %0d, %0d, %0d, %0d are not whole bytes that fit",
                   READ_WIDTH_A, READ_WIDTH_B, WRITE_WIDTH_A, WRITE_WIDTH_B);
        if (SDP && (READ_WIDTH_B != 0 || WRITE_WIDTH_A != 0))
            $fatal(1, "block RAM model: a simple dual port RAM reads on A and writes on B");
    end

    // A byte and its parity bit. Address bits below a byte, and below the width, are not looked at.
    reg [8:0] memory[0:BYTES-1];
    integer n;
    initial for (n = 0; n < BYTES; n = n + 1) memory[n] = 9'd0;

    function integer first(input [15:0] addr, input integer num);
        first = {19'd0, addr[15:3]} % BYTES / (num == 0 ? 1 : num) * num;
    endfunction

    wire [9*2*HALF-1:0] in_a, in_b;
    reg [9*2*HALF-1:0] out_a = 0, out_b = 0;
    genvar k;
    generate
        for (k = 0; k < HALF; k = k + 1) begin : bytes
            assign in_a[9*k +: 9] = {dinp_a[k], din_a[8*k +: 8]};
            assign in_a[9*(HALF+k) +: 9] = 9'd0;
            // As a simple dual port RAM, port B takes its lower bytes from the pins of A.
            assign in_b[9*k +: 9] = WRITE_WIDTH_B > PINS ? in_a[9*k +: 9]
                                                         : {dinp_b[k], din_b[8*k +: 8]};
            assign in_b[9*(HALF+k) +: 9] = {dinp_b[k], din_b[8*k +: 8]};
            assign {doutp_a[k], dout_a[8*k +: 8]} = out_a[9*k +: 9];
            assign {doutp_b[k], dout_b[8*k +: 8]} =
                READ_WIDTH_A > PINS ? out_a[9*(HALF+k) +: 9] : out_b[9*k +: 9];
        end
    endgenerate

    wire writes_a = en_a && NUM_WA != 0 && we_a != 0;
    wire writes_b = en_b && NUM_WB != 0 && we_b != 0;
    wire [31:0] first_wa = first(addr_a, NUM_WA), first_wb = first(addr_b, NUM_WB);
    wire [31:0] first_ra = first(addr_a, NUM_RA), first_rb = first(addr_b, NUM_RB);
    integer i, at;
    reg [8:0] stored;
    always @(posedge clk_a) begin
        if (clk_b !== clk_a) $fatal(1, "block RAM model: the clocks of A and B must be the same");
        if (writes_a && writes_b)
            for (i = 0; i < NUM_WA; i = i + 1) begin
                at = first_wa + i - first_wb;
                if (we_a[i] && at >= 0 && at < NUM_WB && we_b[at])
                    $fatal(1, "block RAM model: both ports write byte %0d", first_wa + i);
            end
        // Same port: WRITE_FIRST passes on what it writes, NO_CHANGE keeps still while it writes.
        if (en_a && !(writes_a && WRITE_MODE_A == "NO_CHANGE"))
            for (i = 0; i < NUM_RA; i = i + 1) begin
                stored = memory[first_ra + i];
                at = first_ra + i - first_wb;
                if (writes_b && at >= 0 && at < NUM_WB && we_b[at]) stored = ~stored;
                at = first_ra + i - first_wa;
                if (writes_a && WRITE_MODE_A == "WRITE_FIRST" && at >= 0 && at < NUM_WA && we_a[at])
                    stored = in_a[9*at +: 9];
                out_a[9*i +: 9] <= stored;
            end
        if (en_b && !(writes_b && WRITE_MODE_B == "NO_CHANGE"))
            for (i = 0; i < NUM_RB; i = i + 1) begin
                stored = memory[first_rb + i];
                at = first_rb + i - first_wa;
                if (writes_a && at >= 0 && at < NUM_WA && we_a[at]) stored = ~stored;
                at = first_rb + i - first_wb;
                if (writes_b && WRITE_MODE_B == "WRITE_FIRST" && at >= 0 && at < NUM_WB && we_b[at])
                    stored = in_b[9*at +: 9];
                out_b[9*i +: 9] <= stored;
            end
        if (writes_a)
            for (i = 0; i < NUM_WA; i = i + 1)
                if (we_a[i]) memory[first_wa + i] <= in_a[9*i +: 9];
        if (writes_b)
            for (i = 0; i < NUM_WB; i = i + 1)
                if (we_b[i]) memory[first_wb + i] <= in_b[9*i +: 9];
    end
endmodule

module RAMB18E2 #(
    parameter integer DOA_REG = 1,
    parameter integer DOB_REG = 1,
    parameter integer READ_WIDTH_A = 0,
    parameter integer READ_WIDTH_B = 0,
    parameter integer WRITE_WIDTH_A = 0,
    parameter integer WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "NO_CHANGE",
    parameter WRITE_MODE_B = "NO_CHANGE",
    parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0,
    parameter [255:0] INIT_05 = 0, INIT_06 = 0, INIT_07 = 0, INIT_08 = 0, INIT_09 = 0,
    parameter [255:0] INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0,
    parameter [255:0] INIT_0F = 0, INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0,
    parameter [255:0] INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0, INIT_18 = 0,
    parameter [255:0] INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0,
    parameter [255:0] INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0,
    parameter [255:0] INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
    parameter [255:0] INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0,
    parameter [255:0] INIT_2D = 0, INIT_2E = 0, INIT_2F = 0, INIT_30 = 0, INIT_31 = 0,
    parameter [255:0] INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0,
    parameter [255:0] INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0,
    parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0, INITP_00 = 0,
    parameter [255:0] INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0,
    parameter [255:0] INITP_06 = 0, INITP_07 = 0,
    parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0
) (
    input  wire [13:0] ADDRARDADDR,
    input  wire [13:0] ADDRBWRADDR,
    input  wire        ADDRENA,
    input  wire        ADDRENB,
    input  wire        CLKARDCLK,
    input  wire        CLKBWRCLK,
    input  wire [15:0] DINADIN,
    input  wire [15:0] DINBDIN,
    input  wire [1:0]  DINPADINP,
    input  wire [1:0]  DINPBDINP,
    output wire [15:0] DOUTADOUT,
    output wire [15:0] DOUTBDOUT,
    output wire [1:0]  DOUTPADOUTP,
    output wire [1:0]  DOUTPBDOUTP,
    input  wire        ENARDEN,
    input  wire        ENBWREN,
    input  wire        REGCEAREGCE,
    input  wire        REGCEB,
    input  wire        RSTRAMARSTRAM,
    input  wire        RSTRAMB,
    input  wire        RSTREGARSTREG,
    input  wire        RSTREGB,
    input  wire        SLEEP,
    input  wire [1:0]  WEA,
    input  wire [3:0]  WEBWE
);
    localparam [255:0] CONTENTS =
        INIT_00 | INIT_01 | INIT_02 | INIT_03 | INIT_04 | INIT_05 | INIT_06 | INIT_07 |
        INIT_08 | INIT_09 | INIT_0A | INIT_0B | INIT_0C | INIT_0D | INIT_0E | INIT_0F |
        INIT_10 | INIT_11 | INIT_12 | INIT_13 | INIT_14 | INIT_15 | INIT_16 | INIT_17 |
        INIT_18 | INIT_19 | INIT_1A | INIT_1B | INIT_1C | INIT_1D | INIT_1E | INIT_1F |
        INIT_20 | INIT_21 | INIT_22 | INIT_23 | INIT_24 | INIT_25 | INIT_26 | INIT_27 |
        INIT_28 | INIT_29 | INIT_2A | INIT_2B | INIT_2C | INIT_2D | INIT_2E | INIT_2F |
        INIT_30 | INIT_31 | INIT_32 | INIT_33 | INIT_34 | INIT_35 | INIT_36 | INIT_37 |
        INIT_38 | INIT_39 | INIT_3A | INIT_3B | INIT_3C | INIT_3D | INIT_3E | INIT_3F |
        INITP_00 | INITP_01 | INITP_02 | INITP_03 | INITP_04 | INITP_05 | INITP_06 | INITP_07;
    initial begin
        if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB18E2 model: there are no output registers");
        if (CONTENTS != 0 || INIT_A != 0 || INIT_B != 0)
            $fatal(1, "RAMB18E2 model: contents start at 0");
    end
    always @(posedge CLKARDCLK)
        if (RSTRAMARSTRAM || RSTRAMB || SLEEP) $fatal(1, "RAMB18E2 model: no reset, no sleep");

    skimp_block_ram #(
        .HALF(2), .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
        .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
        .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B)
    ) ram (
        .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN),
        .addr_a({2'd0, ADDRARDADDR}), .addr_b({2'd0, ADDRBWRADDR}),
        .we_a(WEA), .we_b(WEBWE),
        .din_a(DINADIN), .din_b(DINBDIN), .dinp_a(DINPADINP), .dinp_b(DINPBDINP),
        .dout_a(DOUTADOUT), .dout_b(DOUTBDOUT), .doutp_a(DOUTPADOUTP), .doutp_b(DOUTPBDOUTP)
    );
endmodule

module RAMB36E2 #(
    parameter integer DOA_REG = 1,
    parameter integer DOB_REG = 1,
    parameter integer READ_WIDTH_A = 0,
    parameter integer READ_WIDTH_B = 0,
    parameter integer WRITE_WIDTH_A = 0,
    parameter integer WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "NO_CHANGE",
    parameter WRITE_MODE_B = "NO_CHANGE",
    parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0,
    parameter [255:0] INIT_05 = 0, INIT_06 = 0, INIT_07 = 0, INIT_08 = 0, INIT_09 = 0,
    parameter [255:0] INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0,
    parameter [255:0] INIT_0F = 0, INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0,
    parameter [255:0] INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0, INIT_18 = 0,
    parameter [255:0] INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0,
    parameter [255:0] INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0,
    parameter [255:0] INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
    parameter [255:0] INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0,
    parameter [255:0] INIT_2D = 0, INIT_2E = 0, INIT_2F = 0, INIT_30 = 0, INIT_31 = 0,
    parameter [255:0] INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0,
    parameter [255:0] INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0,
    parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0, INIT_40 = 0,
    parameter [255:0] INIT_41 = 0, INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0,
    parameter [255:0] INIT_46 = 0, INIT_47 = 0, INIT_48 = 0, INIT_49 = 0, INIT_4A = 0,
    parameter [255:0] INIT_4B = 0, INIT_4C = 0, INIT_4D = 0, INIT_4E = 0, INIT_4F = 0,
    parameter [255:0] INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0, INIT_54 = 0,
    parameter [255:0] INIT_55 = 0, INIT_56 = 0, INIT_57 = 0, INIT_58 = 0, INIT_59 = 0,
    parameter [255:0] INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0,
    parameter [255:0] INIT_5F = 0, INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0,
    parameter [255:0] INIT_64 = 0, INIT_65 = 0, INIT_66 = 0, INIT_67 = 0, INIT_68 = 0,
    parameter [255:0] INIT_69 = 0, INIT_6A = 0, INIT_6B = 0, INIT_6C = 0, INIT_6D = 0,
    parameter [255:0] INIT_6E = 0, INIT_6F = 0, INIT_70 = 0, INIT_71 = 0, INIT_72 = 0,
    parameter [255:0] INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0, INIT_77 = 0,
    parameter [255:0] INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0,
    parameter [255:0] INIT_7D = 0, INIT_7E = 0, INIT_7F = 0, INITP_00 = 0, INITP_01 = 0,
    parameter [255:0] INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0,
    parameter [255:0] INITP_07 = 0, INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0,
    parameter [255:0] INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0,
    parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0
) (
    input  wire [14:0] ADDRARDADDR,
    input  wire [14:0] ADDRBWRADDR,
    input  wire        ADDRENA,
    input  wire        ADDRENB,
    input  wire        CLKARDCLK,
    input  wire        CLKBWRCLK,
    input  wire [31:0] DINADIN,
    input  wire [31:0] DINBDIN,
    input  wire [3:0]  DINPADINP,
    input  wire [3:0]  DINPBDINP,
    output wire [31:0] DOUTADOUT,
    output wire [31:0] DOUTBDOUT,
    output wire [3:0]  DOUTPADOUTP,
    output wire [3:0]  DOUTPBDOUTP,
    input  wire        ENARDEN,
    input  wire        ENBWREN,
    input  wire        REGCEAREGCE,
    input  wire        REGCEB,
    input  wire        RSTRAMARSTRAM,
    input  wire        RSTRAMB,
    input  wire        RSTREGARSTREG,
    input  wire        RSTREGB,
    input  wire        SLEEP,
    input  wire [3:0]  WEA,
    input  wire [7:0]  WEBWE
);
    localparam [255:0] CONTENTS =
        INIT_00 | INIT_01 | INIT_02 | INIT_03 | INIT_04 | INIT_05 | INIT_06 | INIT_07 |
        INIT_08 | INIT_09 | INIT_0A | INIT_0B | INIT_0C | INIT_0D | INIT_0E | INIT_0F |
        INIT_10 | INIT_11 | INIT_12 | INIT_13 | INIT_14 | INIT_15 | INIT_16 | INIT_17 |
        INIT_18 | INIT_19 | INIT_1A | INIT_1B | INIT_1C | INIT_1D | INIT_1E | INIT_1F |
        INIT_20 | INIT_21 | INIT_22 | INIT_23 | INIT_24 | INIT_25 | INIT_26 | INIT_27 |
        INIT_28 | INIT_29 | INIT_2A | INIT_2B | INIT_2C | INIT_2D | INIT_2E | INIT_2F |
        INIT_30 | INIT_31 | INIT_32 | INIT_33 | INIT_34 | INIT_35 | INIT_36 | INIT_37 |
        INIT_38 | INIT_39 | INIT_3A | INIT_3B | INIT_3C | INIT_3D | INIT_3E | INIT_3F |
        INIT_40 | INIT_41 | INIT_42 | INIT_43 | INIT_44 | INIT_45 | INIT_46 | INIT_47 |
        INIT_48 | INIT_49 | INIT_4A | INIT_4B | INIT_4C | INIT_4D | INIT_4E | INIT_4F |
        INIT_50 | INIT_51 | INIT_52 | INIT_53 | INIT_54 | INIT_55 | INIT_56 | INIT_57 |
        INIT_58 | INIT_59 | INIT_5A | INIT_5B | INIT_5C | INIT_5D | INIT_5E | INIT_5F |
        INIT_60 | INIT_61 | INIT_62 | INIT_63 | INIT_64 | INIT_65 | INIT_66 | INIT_67 |
        INIT_68 | INIT_69 | INIT_6A | INIT_6B | INIT_6C | INIT_6D | INIT_6E | INIT_6F |
        INIT_70 | INIT_71 | INIT_72 | INIT_73 | INIT_74 | INIT_75 | INIT_76 | INIT_77 |
        INIT_78 | INIT_79 | INIT_7A | INIT_7B | INIT_7C | INIT_7D | INIT_7E | INIT_7F |
        INITP_00 | INITP_01 | INITP_02 | INITP_03 | INITP_04 | INITP_05 | INITP_06 | INITP_07 |
        INITP_08 | INITP_09 | INITP_0A | INITP_0B | INITP_0C | INITP_0D | INITP_0E | INITP_0F;
    initial begin
        if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB36E2 model: there are no output registers");
        if (CONTENTS != 0 || INIT_A != 0 || INIT_B != 0)
            $fatal(1, "RAMB36E2 model: contents start at 0");
    end
    always @(posedge CLKARDCLK)
        if (RSTRAMARSTRAM || RSTRAMB || SLEEP) $fatal(1, "RAMB36E2 model: no reset, no sleep");

    skimp_block_ram #(
        .HALF(4), .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
        .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
        .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B)
    ) ram (
        .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN),
        .addr_a({1'd0, ADDRARDADDR}), .addr_b({1'd0, ADDRBWRADDR}),
        .we_a(WEA), .we_b(WEBWE),
        .din_a(DINADIN), .din_b(DINBDIN), .dinp_a(DINPADINP), .dinp_b(DINPBDINP),
        .dout_a(DOUTADOUT), .dout_b(DOUTBDOUT), .doutp_a(DOUTPADOUTP), .doutp_b(DOUTPBDOUTP)
    );
endmodule

`default_nettype wire
