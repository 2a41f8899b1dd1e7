// The top level of a ZCU104 with its DRAM behind the HP ports.

#include <cstdint>
#include <deque>
#include <utility>

#include "Vzcu104_top.h"
#include "harness.hpp"
#include "verilated.h"

namespace {

constexpr uint32_t kPortBytes = 16;
constexpr int kResetClocks = 8;  // the reset's chain is shorter

using Pins = decltype(AXI_PINS(std::declval<Vzcu104_top&>(), m_axi_hp0_));

struct Sim final : Harness {
    VerilatedContext context;
    Vzcu104_top top{&context};
    std::deque<AxiSlave<kPortBytes, Pins>> slaves;

    explicit Sim(uint64_t dram_bytes) {
        memory.bytes.resize(dram_bytes);
        slaves.emplace_back(AXI_PINS(top, m_axi_hp0_), memory);
#if NUM_PORTS > 1
        slaves.emplace_back(AXI_PINS(top, m_axi_hp1_), memory);
#endif
#if NUM_PORTS > 2
        slaves.emplace_back(AXI_PINS(top, m_axi_hp2_), memory);
        slaves.emplace_back(AXI_PINS(top, m_axi_hp3_), memory);
#endif
        reset();
    }

    // Power-on reset of the PS and of the logic: the ports forget, the DRAM stays as it is.
    void reset() {
        for (auto& slave : slaves) slave.reset();
        const LitePins lite = registers();
        lite.awvalid = lite.wvalid = lite.bready = lite.arvalid = lite.rready = 0;
        top.aresetn = 0;
        clocks(1);  // a clock is enough, wherever in it the reset comes
        top.aresetn = 1;
        clocks(kResetClocks);
    }

    void tick() override {
        for (auto& slave : slaves) slave.drive();
        half(0);
        for (auto& slave : slaves) slave.take();
        half(1);
        ++memory.cycle;
    }

    void eval() override { top.eval(); }
    bool irq() const override { return top.irq; }
    LitePins registers() override { return LITE_PINS(top, s_axi_); }

    void stall(int channel, uint32_t permille, uint32_t seed) override {
        for (auto& slave : slaves) slave.stalls[channel].set(permille, seed++);
    }

private:
    void half(int clk) {
        top.aclk = clk;
        top.eval();
    }

    void clocks(int count) {
        for (int i = 0; i < count; ++i, ++memory.cycle) {
            half(0);
            half(1);
        }
    }
};

}  // namespace

extern "C" {

void* skimp_create(uint64_t dram_bytes) { return static_cast<Harness*>(new Sim(dram_bytes)); }
void skimp_reset(void* handle) { static_cast<Sim&>(harness(handle)).reset(); }
}
