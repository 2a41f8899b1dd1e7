// Simulation model of the DSP48E2 slice, written from its user guide (UG579) for the features that
// skimp uses and their close neighbours: operand registers, pre-adder, multiplier, the four
// multiplexers, adder/subtracter, cascades. Clock for clock and bit for bit; no delays.
//
// Not modelled: logic unit, SIMD, pattern detector, wide XOR and the carry outputs. Asking for one
// of them stops the simulation ($fatal); their outputs stay 0.
// MULTSIGNIN and CARRYCASCIN are not read.
//
// All registers start at 0, as the device's do after configuration.

`default_nettype none

module DSP48E2 #(
    parameter integer ACASCREG = 1,
    parameter integer ADREG = 1,
    parameter integer ALUMODEREG = 1,
    parameter AMULTSEL = "A",
    parameter integer AREG = 1,
    parameter AUTORESET_PATDET = "NO_RESET",
    parameter AUTORESET_PRIORITY = "RESET",
    parameter A_INPUT = "DIRECT",
    parameter integer BCASCREG = 1,
    parameter BMULTSEL = "B",
    parameter integer BREG = 1,
    parameter B_INPUT = "DIRECT",
    parameter integer CARRYINREG = 1,
    parameter integer CARRYINSELREG = 1,
    parameter integer CREG = 1,
    parameter integer DREG = 1,
    parameter integer INMODEREG = 1,
    parameter [3:0] IS_ALUMODE_INVERTED = 4'b0,
    parameter [0:0] IS_CARRYIN_INVERTED = 1'b0,
    parameter [0:0] IS_CLK_INVERTED = 1'b0,
    parameter [4:0] IS_INMODE_INVERTED = 5'b0,
    parameter [8:0] IS_OPMODE_INVERTED = 9'b0,
    parameter [0:0] IS_RSTALLCARRYIN_INVERTED = 1'b0,
    parameter [0:0] IS_RSTALUMODE_INVERTED = 1'b0,
    parameter [0:0] IS_RSTA_INVERTED = 1'b0,
    parameter [0:0] IS_RSTB_INVERTED = 1'b0,
    parameter [0:0] IS_RSTCTRL_INVERTED = 1'b0,
    parameter [0:0] IS_RSTC_INVERTED = 1'b0,
    parameter [0:0] IS_RSTD_INVERTED = 1'b0,
    parameter [0:0] IS_RSTINMODE_INVERTED = 1'b0,
    parameter [0:0] IS_RSTM_INVERTED = 1'b0,
    parameter [0:0] IS_RSTP_INVERTED = 1'b0,
    parameter [47:0] MASK = 48'h3fff_ffff_ffff,
    parameter integer MREG = 1,
    parameter integer OPMODEREG = 1,
    parameter [47:0] PATTERN = 48'h0,
    parameter PREADDINSEL = "A",
    parameter integer PREG = 1,
    parameter [47:0] RND = 48'h0,
    parameter SEL_MASK = "MASK",
    parameter SEL_PATTERN = "PATTERN",
    parameter USE_MULT = "MULTIPLY",
    parameter USE_PATTERN_DETECT = "NO_PATDET",
    parameter USE_SIMD = "ONE48",
    parameter USE_WIDEXOR = "FALSE",
    parameter XORSIMD = "XOR24_48_96"
) (
    output wire [29:0] ACOUT,
    output wire [17:0] BCOUT,
    output wire        CARRYCASCOUT,
    output wire [3:0]  CARRYOUT,
    output wire        MULTSIGNOUT,
    output wire        OVERFLOW,
    output wire [47:0] P,
    output wire        PATTERNBDETECT,
    output wire        PATTERNDETECT,
    output wire [47:0] PCOUT,
    output wire        UNDERFLOW,
    output wire [7:0]  XOROUT,
    input  wire [29:0] A,
    input  wire [29:0] ACIN,
    input  wire [3:0]  ALUMODE,
    input  wire [17:0] B,
    input  wire [17:0] BCIN,
    input  wire [47:0] C,
    input  wire        CARRYCASCIN,
    input  wire        CARRYIN,
    input  wire [2:0]  CARRYINSEL,
    input  wire        CEA1,
    input  wire        CEA2,
    input  wire        CEAD,
    input  wire        CEALUMODE,
    input  wire        CEB1,
    input  wire        CEB2,
    input  wire        CEC,
    input  wire        CECARRYIN,
    input  wire        CECTRL,
    input  wire        CED,
    input  wire        CEINMODE,
    input  wire        CEM,
    input  wire        CEP,
    input  wire        CLK,
    input  wire [26:0] D,
    input  wire [4:0]  INMODE,
    input  wire        MULTSIGNIN,
    input  wire [8:0]  OPMODE,
    input  wire [47:0] PCIN,
    input  wire        RSTA,
    input  wire        RSTALLCARRYIN,
    input  wire        RSTALUMODE,
    input  wire        RSTB,
    input  wire        RSTC,
    input  wire        RSTCTRL,
    input  wire        RSTD,
    input  wire        RSTINMODE,
    input  wire        RSTM,
    input  wire        RSTP
);
    /*verilator no_inline_module*/  // one copy for all slices: builds faster

    // ---- Attributes that this model cannot honour -------------------------------------------
    initial begin
        if (USE_SIMD != "ONE48") $fatal(1, "DSP48E2 model: USE_SIMD must be ONE48");
        if (USE_WIDEXOR != "FALSE") $fatal(1, "DSP48E2 model: USE_WIDEXOR must be FALSE");
        if (USE_PATTERN_DETECT != "NO_PATDET" || AUTORESET_PATDET != "NO_RESET")
            $fatal(1, "DSP48E2 model: there is no pattern detector");
        if (USE_MULT != "MULTIPLY") $fatal(1, "DSP48E2 model: USE_MULT must be MULTIPLY");
        if (PREADDINSEL != "A" && PREADDINSEL != "B")
            $fatal(1, "DSP48E2 model: PREADDINSEL must be A or B");
        if (BMULTSEL != "B" && BMULTSEL != "AD")
            $fatal(1, "DSP48E2 model: BMULTSEL must be B or AD");
        if (AMULTSEL != "A" && AMULTSEL != "AD")
            $fatal(1, "DSP48E2 model: AMULTSEL must be A or AD");
        if (A_INPUT != "DIRECT" && A_INPUT != "CASCADE")
            $fatal(1, "DSP48E2 model: A_INPUT must be DIRECT or CASCADE");
        if (B_INPUT != "DIRECT" && B_INPUT != "CASCADE")
            $fatal(1, "DSP48E2 model: B_INPUT must be DIRECT or CASCADE");
        if (AREG < 0 || AREG > 2 || (AREG < 2 ? ACASCREG != AREG : ACASCREG != 1 && ACASCREG != 2))
            $fatal(1, "DSP48E2 model: AREG and ACASCREG do not fit");
        if (BREG < 0 || BREG > 2 || (BREG < 2 ? BCASCREG != BREG : BCASCREG != 1 && BCASCREG != 2))
            $fatal(1, "DSP48E2 model: BREG and BCASCREG do not fit");
        if (IS_CLK_INVERTED != 0) $fatal(1, "DSP48E2 model: IS_CLK_INVERTED must be 0");
    end

    // ---- Control inputs: inversion, then an optional register --------------------------------
    wire [3:0] alumode_in = ALUMODE ^ IS_ALUMODE_INVERTED;
    wire [4:0] inmode_in = INMODE ^ IS_INMODE_INVERTED;
    wire [8:0] opmode_in = OPMODE ^ IS_OPMODE_INVERTED;
    wire carryin_in = CARRYIN ^ IS_CARRYIN_INVERTED;
    wire rst_a = RSTA ^ IS_RSTA_INVERTED;
    wire rst_allcarryin = RSTALLCARRYIN ^ IS_RSTALLCARRYIN_INVERTED;
    wire rst_alumode = RSTALUMODE ^ IS_RSTALUMODE_INVERTED;
    wire rst_b = RSTB ^ IS_RSTB_INVERTED;
    wire rst_c = RSTC ^ IS_RSTC_INVERTED;
    wire rst_ctrl = RSTCTRL ^ IS_RSTCTRL_INVERTED;
    wire rst_d = RSTD ^ IS_RSTD_INVERTED;
    wire rst_inmode = RSTINMODE ^ IS_RSTINMODE_INVERTED;
    wire rst_m = RSTM ^ IS_RSTM_INVERTED;
    wire rst_p = RSTP ^ IS_RSTP_INVERTED;

    reg [3:0] alumode_reg = 0;
    reg [4:0] inmode_reg = 0;
    reg [8:0] opmode_reg = 0;
    reg [2:0] carryinsel_reg = 0;
    reg carryin_reg = 0;
    wire [3:0] alumode = ALUMODEREG != 0 ? alumode_reg : alumode_in;
    wire [4:0] inmode = INMODEREG != 0 ? inmode_reg : inmode_in;
    wire [8:0] opmode = OPMODEREG != 0 ? opmode_reg : opmode_in;
    wire [2:0] carryinsel = CARRYINSELREG != 0 ? carryinsel_reg : CARRYINSEL;
    wire carryin = CARRYINREG != 0 ? carryin_reg : carryin_in;

    always @(posedge CLK) begin
        if (rst_alumode) alumode_reg <= 0;
        else if (CEALUMODE) alumode_reg <= alumode_in;
        if (rst_inmode) inmode_reg <= 0;
        else if (CEINMODE) inmode_reg <= inmode_in;
        if (rst_ctrl) opmode_reg <= 0;
        else if (CECTRL) opmode_reg <= opmode_in;
        if (rst_ctrl) carryinsel_reg <= 0;
        else if (CECTRL) carryinsel_reg <= CARRYINSEL;
        if (rst_allcarryin) carryin_reg <= 0;
        else if (CECARRYIN) carryin_reg <= carryin_in;
    end

    // ---- Operand registers -------------------------------------------------------------------
    // Two registers: 1, then 2. One register: 2 alone (CEA2, CEB2).
    reg [29:0] a1_reg = 0, a2_reg = 0;
    reg [17:0] b1_reg = 0, b2_reg = 0;
    reg [47:0] c_reg = 0;
    reg [26:0] d_reg = 0;
    wire [29:0] a_in = A_INPUT == "CASCADE" ? ACIN : A;
    wire [17:0] b_in = B_INPUT == "CASCADE" ? BCIN : B;
    wire [29:0] a1 = AREG == 2 ? a1_reg : a_in;
    wire [29:0] a2 = AREG != 0 ? a2_reg : a_in;
    wire [17:0] b1 = BREG == 2 ? b1_reg : b_in;
    wire [17:0] b2 = BREG != 0 ? b2_reg : b_in;
    wire [47:0] c = CREG != 0 ? c_reg : C;
    wire [26:0] d = DREG != 0 ? d_reg : D;
    assign ACOUT = AREG == 2 && ACASCREG == 1 ? a1 : a2;
    assign BCOUT = BREG == 2 && BCASCREG == 1 ? b1 : b2;

    always @(posedge CLK) begin
        if (rst_a) a1_reg <= 0;
        else if (CEA1) a1_reg <= a_in;
        if (rst_a) a2_reg <= 0;
        else if (CEA2) a2_reg <= a1;
        if (rst_b) b1_reg <= 0;
        else if (CEB1) b1_reg <= b_in;
        if (rst_b) b2_reg <= 0;
        else if (CEB2) b2_reg <= b1;
        if (rst_c) c_reg <= 0;
        else if (CEC) c_reg <= C;
        if (rst_d) d_reg <= 0;
        else if (CED) d_reg <= D;
    end

    // ---- Pre-adder: INMODE[0] A1 or A2, [4] B1 or B2, [1] which of these goes to it is 0,
    // [2] D is used, [3] subtracts
    localparam preadds_b = PREADDINSEL == "B";
    wire [26:0] a_chosen = inmode[1] && !preadds_b ? 27'd0 : inmode[0] ? a1[26:0] : a2[26:0];
    wire [17:0] b_chosen = inmode[1] && preadds_b ? 18'd0 : inmode[4] ? b1 : b2;
    wire [26:0] ab_preadd = preadds_b ? {{9{b_chosen[17]}}, b_chosen} : a_chosen;
    wire [26:0] d_preadd = inmode[2] ? d : 27'd0;
    wire [26:0] ad_in = inmode[3] ? d_preadd - ab_preadd : d_preadd + ab_preadd;
    reg [26:0] ad_reg = 0;
    always @(posedge CLK)
        if (rst_d) ad_reg <= 0;
        else if (CEAD) ad_reg <= ad_in;

    // ---- Multiplier: 27 x 18 bits, signed ----------------------------------------------------
    wire [26:0] ad = ADREG != 0 ? ad_reg : ad_in;
    wire signed [26:0] a_mult = AMULTSEL == "AD" ? ad : a_chosen;
    wire signed [17:0] b_mult = BMULTSEL == "AD" ? ad[17:0] : b_chosen;
    wire signed [44:0] m_in = a_mult * b_mult;
    reg signed [44:0] m_reg = 0;
    wire signed [44:0] m = MREG != 0 ? m_reg : m_in;
    // With CARRYINSEL 110 the carry rounds the product; its register goes with M's.
    wire round_in = ~(a_mult[26] ^ b_mult[17]);
    reg round_reg = 0;
    wire round = MREG != 0 ? round_reg : round_in;
    always @(posedge CLK) begin
        if (rst_m) m_reg <= 0;
        else if (CEM) m_reg <= m_in;
        if (rst_allcarryin) round_reg <= 0;
        else if (CEM) round_reg <= round_in;
    end

    // ---- The four multiplexers, and the adder ------------------------------------------------
    wire [47:0] p_out;
    reg [47:0] w, x, y, z, p_in;
    reg carry;
    always @* begin
        case (opmode[8:7])
            2'b00: w = 48'd0;
            2'b01: w = p_out;
            2'b10: w = RND;
            default: w = c;
        endcase
        case (opmode[1:0])
            2'b00: x = 48'd0;
            2'b01: x = {{3{m[44]}}, m};  // all of the product; Y's part of it is 0 here
            2'b10: x = p_out;
            default: x = {a2, b2};
        endcase
        case (opmode[3:2])
            2'b00, 2'b01: y = 48'd0;
            2'b10: y = {48{1'b1}};
            default: y = c;
        endcase
        case (opmode[6:4])
            3'b000: z = 48'd0;
            3'b001: z = PCIN;
            3'b010: z = p_out;
            3'b011: z = c;
            3'b101: z = {{17{PCIN[47]}}, PCIN[47:17]};
            3'b110: z = {{17{p_out[47]}}, p_out[47:17]};
            default: z = 48'd0;  // 100 and 111: refused below
        endcase
        case (carryinsel)
            3'b000: carry = carryin;
            3'b001: carry = ~PCIN[47];
            3'b011: carry = PCIN[47];
            3'b101: carry = ~p_out[47];
            3'b110: carry = round;
            3'b111: carry = p_out[47];
            default: carry = 1'b0;  // 010 and 100: refused below
        endcase
        case (alumode)
            4'b0000: p_in = z + (w + x + y + {47'd0, carry});
            4'b0001: p_in = ~z + (w + x + y + {47'd0, carry});
            4'b0010: p_in = ~(z + (w + x + y + {47'd0, carry}));
            4'b0011: p_in = z - (w + x + y + {47'd0, carry});
            default: p_in = 48'd0;  // logic unit: refused below
        endcase
    end

    reg [47:0] p_reg = 0;
    assign p_out = PREG != 0 ? p_reg : p_in;
    assign P = p_out;
    assign PCOUT = p_out;
    always @(posedge CLK)
        if (rst_p) p_reg <= 0;
        else if (CEP) p_reg <= p_in;

    // ---- Selections that the table forbids, or this model does not know ---------------------
    always @(posedge CLK) begin
        if ((opmode[1:0] == 2'b01) != (opmode[3:2] == 2'b01))
            $fatal(1, "DSP48E2 model: OPMODE %b selects half of the product", opmode);
        if (opmode[6:4] == 3'b100 || opmode[6:4] == 3'b111)
            $fatal(1, "DSP48E2 model: OPMODE %b: Z cannot select that", opmode);
        if (PREG == 0 && (opmode[1:0] == 2'b10 || opmode[8:7] == 2'b01
                          || opmode[6:4] == 3'b010 || opmode[6:4] == 3'b110))
            $fatal(1, "DSP48E2 model: OPMODE %b feeds P back without PREG", opmode);
        if (alumode[3:2] != 2'b00) $fatal(1, "DSP48E2 model: ALUMODE %b: no logic unit", alumode);
        if (carryinsel == 3'b010 || carryinsel == 3'b100)
            $fatal(1, "DSP48E2 model: CARRYINSEL %b: no cascaded carry", carryinsel);
        if ((inmode[0] && AREG != 2) || (inmode[4] && BREG != 2))
            $fatal(1, "DSP48E2 model: INMODE %b selects a register that is not there", inmode);
        if (AMULTSEL == "A" && BMULTSEL == "B" && inmode[3:2] != 2'b00)
            $fatal(1, "DSP48E2 model: INMODE %b uses the pre-adder, neither operand is AD", inmode);
    end

    // ---- Not modelled ------------------------------------------------------------------------
    assign CARRYCASCOUT = 1'b0;
    assign CARRYOUT = 4'd0;
    assign MULTSIGNOUT = 1'b0;
    assign OVERFLOW = 1'b0;
    assign PATTERNBDETECT = 1'b0;
    assign PATTERNDETECT = 1'b0;
    assign UNDERFLOW = 1'b0;
    assign XOROUT = 8'd0;
endmodule

`default_nettype wire
