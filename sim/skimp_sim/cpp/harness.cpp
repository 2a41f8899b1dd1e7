// The accelerator with its DRAM.

#include <cstdint>
#include <string>
#include <utility>

#include "Vskimp.h"
#ifdef CHIP_MEMORY
#include "Vskimp___024root.h"
#endif
#include "harness.hpp"
#include "probes.hpp"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif VM_TRACE_SAIF
#include "verilated_saif_c.h"
using Trace = VerilatedSaifC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif

namespace {

// Verilator writes the second of two underscores as "_05F".
using Pins = decltype(AXI_PINS(std::declval<Vskimp&>(), axi___05F));

struct Sim final : Harness {
    VerilatedContext context;
    Vskimp top{&context};
    AxiSlave<BUS_BYTES, Pins> slave{AXI_PINS(top, axi___05F), memory};
    Probes probes;
#if VM_TRACE
    Trace* trace = nullptr;
#endif

    explicit Sim(uint64_t dram_bytes) {
#if VM_TRACE
        context.traceEverOn(true);
#endif
        memory.bytes.resize(dram_bytes);
        top.rst = 1;
        for (int i = 0; i < 4; ++i) tick();
        top.rst = 0;
    }

    ~Sim() override {
#if VM_TRACE
        if (trace) {
            trace->close();
            delete trace;
        }
#endif
        delete slave.ddr;
    }

    void half(int clk) {
        top.clk = clk;
        top.eval();
#if VM_TRACE
        if (trace) trace->dump(context.time());
        context.timeInc(1);
#endif
    }

    void tick() override {
        slave.drive();
        half(0);
        slave.take();
        half(1);
        probes.count();
        ++memory.cycle;
    }

    void eval() override { top.eval(); }
    bool irq() const override { return top.irq; }
    LitePins registers() override { return LITE_PINS(top, axil___05F); }

    void stall(int channel, uint32_t permille, uint32_t seed) override {
        slave.stalls[channel].set(permille, seed);
    }
};

Sim& sim_of(void* handle) { return static_cast<Sim&>(harness(handle)); }

}  // namespace

extern "C" {

void* skimp_create(uint64_t dram_bytes) { return static_cast<Harness*>(new Sim(dram_bytes)); }

// DDR4 timing instead of flat; values in the order of names, all of them fields of Ddr4Params.
int skimp_ddr4(void* handle, int count, const char** names, const int64_t* values) {
    Ddr4Params params;
    for (int i = 0; i < count; ++i)
        if (!params.set(names[i], values[i])) return 1;
    auto& slave = sim_of(handle).slave;
    delete slave.ddr;
    slave.ddr = new Ddr4Port(BUS_BYTES, params);
    return 0;
}

// Bytes of the activation store from `start` on; 0 where there is none.
int skimp_chip(void* handle, uint64_t start, uint64_t count, uint8_t* bytes) {
#ifdef CHIP_MEMORY
    const auto& sim = sim_of(handle);
    for (uint64_t i = 0; i < count; ++i) {
        const auto& beat = sim.top.rootp->CHIP_MEMORY[(start + i) / CHIP_BYTES];
        bytes[i] = reinterpret_cast<const uint8_t*>(&beat)[(start + i) % CHIP_BYTES];
    }
    return 1;
#else
    (void)handle, (void)start, (void)count, (void)bytes;
    return 0;
#endif
}

// A write that ends a record in [low, high) makes skimp_run return.
void skimp_watch(void* handle, uint64_t low, uint64_t high) {
    Memory& memory = harness(handle).memory;
    memory.watch_low = low;
    memory.watch_high = high;
}

int skimp_event(void* handle) {
    Memory& memory = harness(handle).memory;
    const bool event = memory.event;
    memory.event = false;
    return event;
}

// Counts what a public variable does from now on: its bits that change or, with `ones`, that are 1.
// Returns 0, or 1 where there is no such variable of that many bits.
int skimp_probe(void* handle, const char* scope, const char* name, int bits, int counter, int ones) {
    Sim& sim = sim_of(handle);
    const auto path = std::string(sim.top.name()) + "." + scope;
    return !sim.probes.add(sim.context.scopeFind(path.c_str()), name, bits, counter, ones != 0);
}

const uint64_t* skimp_counters(void* handle) { return sim_of(handle).probes.counters; }

int skimp_trace(void* handle, const char* path) {
#if VM_TRACE
    Sim& sim = sim_of(handle);
    sim.trace = new Trace;
    sim.top.trace(sim.trace, 99);
    sim.trace->open(path);
    return sim.trace->isOpen() ? 0 : 1;
#else
    (void)handle;
    (void)path;
    return 1;
#endif
}
}
