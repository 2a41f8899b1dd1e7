// An AXI4 master with the accelerator's ports that does as register 0 says: two bursts as they
// should be, and one of every kind of mistake that the DRAM model must see. Register 4 is the
// address; register 8 gives back the last beat read; register 12 the last response.
module skimp(
    input clk, input rst, output reg irq,
    input [11:0] axil__awaddr, input axil__awvalid, output axil__awready,
    input [31:0] axil__wdata, input [3:0] axil__wstrb, input axil__wvalid, output axil__wready,
    output [1:0] axil__bresp, output reg axil__bvalid, input axil__bready,
    input [11:0] axil__araddr, input axil__arvalid, output axil__arready,
    output reg [31:0] axil__rdata, output [1:0] axil__rresp, output reg axil__rvalid,
    input axil__rready,
    output reg [31:0] axi__awaddr, output [7:0] axi__awlen, output [2:0] axi__awsize,
    output [1:0] axi__awburst, output reg axi__awvalid, input axi__awready,
    output [63:0] axi__wdata, output [7:0] axi__wstrb, output axi__wlast, output reg axi__wvalid,
    input axi__wready, input [1:0] axi__bresp, input axi__bvalid, output axi__bready,
    output reg [31:0] axi__araddr, output [7:0] axi__arlen, output [2:0] axi__arsize,
    output [1:0] axi__arburst, output reg axi__arvalid, input axi__arready,
    input [63:0] axi__rdata, input [1:0] axi__rresp, input axi__rlast, input axi__rvalid,
    output axi__rready
);
    localparam READ = 1, WRITE = 2, AR_CHANGES = 3, AR_DROPS = 4, WLAST_EARLY = 5, SIZE = 6,
               FIXED = 7, DATA_FIRST = 8, W_CHANGES = 9, AW_CHANGES = 10, SILENT = 11;
    reg [7:0] mode = 0;
    reg [31:0] addr = 0, last = 0;
    reg [1:0] beat = 0, resp = 0;
    reg [15:0] clocks = 0;
    reg aw_done = 0;

    assign axil__awready = axil__awvalid & axil__wvalid & ~axil__bvalid & mode != SILENT;
    assign axil__wready = axil__awready;
    assign axil__arready = ~axil__rvalid & mode != SILENT;
    assign axil__bresp = 0;
    assign axil__rresp = axil__araddr[11:4] != 0 ? 2 : 0;
    wire write_mode = mode == WRITE | mode == WLAST_EARLY | mode == W_CHANGES | mode == AW_CHANGES;
    wire read_mode = mode == READ | mode == AR_CHANGES | mode == AR_DROPS | mode == SIZE
        | mode == FIXED;

    assign axi__arlen = 3;
    assign axi__awlen = 3;
    assign axi__arsize = mode == SIZE ? 2 : 3;
    assign axi__awsize = 3;
    assign axi__arburst = mode == FIXED ? 0 : 1;
    assign axi__awburst = 1;
    assign axi__rready = 1;
    assign axi__bready = 1;
    assign axi__wdata = {30'd0, beat, mode == W_CHANGES ? {16'd0, clocks} : addr};
    assign axi__wstrb = 8'hff;
    assign axi__wlast = mode == WLAST_EARLY ? beat == 2 : beat == 3;

    always @(posedge clk) begin
        clocks <= clocks + 1;
        if (axil__awready) begin
            axil__bvalid <= 1;
            if (axil__awaddr == 4) addr <= axil__wdata;
            else if (axil__awaddr == 0) begin
                mode <= axil__wdata[7:0];
                irq <= 0;
                aw_done <= 0;
                beat <= 0;
            end
        end else if (axil__bready) axil__bvalid <= 0;
        if (axil__arvalid & axil__arready) begin
            axil__rvalid <= 1;
            axil__rdata <= axil__araddr[3:0] == 8 ? last : {30'd0, resp};
        end else if (axil__rready) axil__rvalid <= 0;

        if (read_mode & !aw_done) begin
            axi__arvalid <= 1;
            axi__araddr <= addr;
            aw_done <= 1;
        end else if (axi__arvalid & axi__arready) axi__arvalid <= 0;
        else if (axi__arvalid & mode == AR_CHANGES) axi__araddr <= axi__araddr + 8;
        else if (axi__arvalid & mode == AR_DROPS) axi__arvalid <= 0;
        if (axi__rvalid) begin
            last <= axi__rdata[31:0];
            resp <= axi__rresp;
            if (axi__rlast) irq <= 1;
        end

        if (write_mode & !aw_done) begin
            axi__awvalid <= 1;
            axi__awaddr <= addr;
            aw_done <= 1;
        end else if (axi__awvalid & axi__awready) begin
            axi__awvalid <= 0;
            axi__wvalid <= 1;
        end else if (axi__awvalid & mode == AW_CHANGES) axi__awaddr <= axi__awaddr + 8;
        if (mode == DATA_FIRST & !aw_done) begin
            axi__wvalid <= 1;
            aw_done <= 1;
        end
        if (axi__wvalid & axi__wready) begin
            beat <= beat + 1;
            if (beat == 3) axi__wvalid <= 0;
        end
        if (axi__bvalid) begin
            resp <= axi__bresp;
            irq <= 1;
        end
        if (rst) begin
            irq <= 0;
            axil__bvalid <= 0;
            axil__rvalid <= 0;
            axi__arvalid <= 0;
            axi__awvalid <= 0;
            axi__wvalid <= 0;
        end
    end
endmodule
