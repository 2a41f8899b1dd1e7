// A simulation of the accelerator with its DRAM as C functions; nothing outside runs per clock.
//
// A harness derives from Harness, defines skimp_create(), and has what else it can do as functions
// of its own.

#pragma once

#include <cstdint>

#include "axi_slave.hpp"
#include "verilated.h"

// Pins of the registers' AXI4-Lite port.
struct LitePins {
    CData &awvalid, &awready;
    SData& awaddr;
    CData &wvalid, &wready;
    IData& wdata;
    CData& wstrb;
    CData &bvalid, &bready, &bresp;
    CData &arvalid, &arready;
    SData& araddr;
    CData &rvalid, &rready;
    IData& rdata;
    CData& rresp;
};

#define LITE_PINS(top, prefix)                                                                  \
    LitePins {                                                                                  \
        top.prefix##awvalid, top.prefix##awready, top.prefix##awaddr, top.prefix##wvalid,       \
        top.prefix##wready, top.prefix##wdata, top.prefix##wstrb, top.prefix##bvalid,           \
        top.prefix##bready, top.prefix##bresp, top.prefix##arvalid, top.prefix##arready,        \
        top.prefix##araddr, top.prefix##rvalid, top.prefix##rready, top.prefix##rdata,          \
        top.prefix##rresp                                                                       \
    }

class Harness {
public:
    Memory memory;

    virtual ~Harness() = default;
    virtual void tick() = 0;
    virtual void eval() = 0;  // settles what does not wait for a clock
    virtual bool irq() const = 0;
    virtual LitePins registers() = 0;
    virtual void stall(int channel, uint32_t permille, uint32_t seed) = 0;
};

namespace {

constexpr int kLiteClocks = 1000;

Harness& harness(void* handle) { return *static_cast<Harness*>(handle); }

}  // namespace

extern "C" {

void skimp_destroy(void* handle) { delete &harness(handle); }
uint8_t* skimp_dram(void* handle) { return harness(handle).memory.bytes.data(); }
uint64_t skimp_cycle(void* handle) { return harness(handle).memory.cycle; }
const char* skimp_violation(void* handle) { return harness(handle).memory.violation.c_str(); }
void skimp_latency(void* handle, uint32_t clocks) { harness(handle).memory.latency = clocks; }
void skimp_hang(void* handle, int hang) { harness(handle).memory.hang = hang != 0; }
int skimp_irq(void* handle) { return harness(handle).irq(); }

void skimp_stall(void* handle, int channel, uint32_t permille, uint32_t seed) {
    harness(handle).stall(channel, permille, seed);
}

void skimp_error(void* handle, uint64_t low, uint64_t high, int resp) {
    Memory& memory = harness(handle).memory;
    memory.error_low = low;
    memory.error_high = high;
    memory.error_resp = static_cast<uint8_t>(resp);
}

// Both return the response, or -1 where the slave does not answer.
int skimp_write(void* handle, uint32_t addr, uint32_t value) {
    Harness& sim = harness(handle);
    const LitePins pins = sim.registers();
    pins.awaddr = addr;
    pins.wdata = value;
    pins.wstrb = 0xF;
    pins.awvalid = pins.wvalid = pins.bready = 1;
    bool taken = false;
    for (int i = 0; i < kLiteClocks; ++i) {
        sim.eval();
        const bool now = pins.awready && pins.wready;
        const bool answered = pins.bvalid;
        const int resp = pins.bresp;
        sim.tick();
        if (now && !taken) {
            taken = true;
            pins.awvalid = pins.wvalid = 0;
        }
        if (answered) {
            pins.bready = 0;
            return resp;
        }
    }
    return -1;
}

int skimp_read(void* handle, uint32_t addr, uint32_t* value) {
    Harness& sim = harness(handle);
    const LitePins pins = sim.registers();
    pins.araddr = addr;
    pins.arvalid = pins.rready = 1;
    bool taken = false;
    for (int i = 0; i < kLiteClocks; ++i) {
        sim.eval();
        const bool now = pins.arready;
        const bool answered = pins.rvalid;
        const int resp = pins.rresp;
        const uint32_t data = pins.rdata;
        sim.tick();
        if (now && !taken) {
            taken = true;
            pins.arvalid = 0;
        }
        if (answered) {
            pins.rready = 0;
            *value = data;
            return resp;
        }
    }
    return -1;
}

// Runs until the interrupt, a watched write, a violation or max_cycles; returns the clocks run.
uint64_t skimp_run(void* handle, uint64_t max_cycles) {
    Harness& sim = harness(handle);
    const Memory& memory = sim.memory;
    uint64_t n = 0;
    while (n < max_cycles && !sim.irq() && !memory.event && memory.violation.empty()) {
        sim.tick();
        ++n;
    }
    return n;
}
}
