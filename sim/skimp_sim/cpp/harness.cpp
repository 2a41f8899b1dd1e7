// The accelerator with its DRAM, driven through a C interface; nothing outside runs per clock.
//
// DRAM is an AXI4 slave: bursts in order, several under way. Its times are those of a DDR4 channel
// (ddr4.hpp) or, flat, a latency to the first beat and then a beat a clock each way. It checks the
// rules that the master must keep and can stall every channel at random or answer a range of
// addresses with an error.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "Vskimp.h"
#ifdef CHIP_MEMORY
#include "Vskimp___024root.h"
#endif
#include "ddr4.hpp"
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

// Verilator writes the second of two underscores as "_05F".
#define PORT(bus, name) bus##___05F##name

namespace {

constexpr uint32_t kBytes = BUS_BYTES;
constexpr uint32_t kPage = 4096;
constexpr uint32_t kRecord = 64;
constexpr int kLiteClocks = 1000;

struct Burst {
    uint64_t addr;
    uint32_t beats;
    uint64_t ready_at;
    uint8_t resp;
};

struct Stall {
    uint32_t state = 1;
    uint32_t permille = 0;

    bool hit() {
        if (permille == 0) return false;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state % 1000 < permille;
    }
};

enum Channel { kAr, kR, kAw, kW, kB, kChannels };

struct Sim {
    VerilatedContext context;
    Vskimp top{&context};
    std::vector<uint8_t> dram;
    uint64_t cycle = 0;
    uint32_t latency = 30;
    Ddr4Port* ddr = nullptr;  // null: flat
    uint64_t watch_low = 0, watch_high = 0;
    bool event = false;
    std::deque<Burst> reads, writes, answers;
    uint32_t read_beat = 0, write_beat = 0;
    bool r_valid = false, b_valid = false;
    Stall stalls[kChannels];
    uint64_t error_low = 0, error_high = 0;
    uint8_t error_resp = 0;
    bool hang = false;
    std::string violation;
    Probes probes;
    // What a master held last clock without being taken: it must hold it still.
    bool ar_held = false, aw_held = false, w_held = false;
    uint64_t ar_last = 0, aw_last = 0;
    uint8_t w_data_last[kBytes] = {};
    bool w_last_last = false;
#if VM_TRACE
    Trace* trace = nullptr;
#endif

    void complain(const std::string& what) {
        if (violation.empty()) violation = "clock " + std::to_string(cycle) + ": " + what;
    }

    uint8_t response(uint64_t addr) const {
        if (error_resp && addr >= error_low && addr < error_high) return error_resp;
        return addr + kBytes <= dram.size() ? 0 : 3;
    }

    void check_burst(const char* what, uint64_t addr, uint32_t beats, int size, int burst) {
        if (addr % kBytes) complain(std::string(what) + " address is not aligned");
        if ((1u << size) != kBytes) complain(std::string(what) + " size is not the bus width");
        if (burst != 1) complain(std::string(what) + " burst is not INCR");
        if (addr / kPage != (addr + beats * kBytes - 1) / kPage)
            complain(std::string(what) + " burst crosses 4 KB");
    }

    void tick() {
        // Outputs of the slave for this clock.
        if (ddr) ddr->tick(cycle);
        if (!r_valid && !reads.empty() && !stalls[kR].hit())
            r_valid = ddr ? ddr->read_beat_ready() : cycle >= reads.front().ready_at;
        if (!b_valid && !answers.empty() && !stalls[kB].hit())
            b_valid = ddr ? ddr->write_response_ready() : cycle >= answers.front().ready_at;
        const bool room = !ddr || ddr->can_read();
        const bool last_beat = !writes.empty() && write_beat + 1 == writes.front().beats;
        const bool write_room = !ddr || !(last_beat || writes.empty()) || ddr->can_write();
        top.PORT(axi, arready) = !hang && reads.size() < 16 && room && !stalls[kAr].hit();
        top.PORT(axi, awready) = !hang && writes.size() < 16 && !stalls[kAw].hit();
        // Data waits for its address, as a slave may have it (AWVALID comes from a register).
        const bool addressed =
            !writes.empty() || (top.PORT(axi, awvalid) && top.PORT(axi, awready));
        top.PORT(axi, wready) = !hang && write_room && addressed && !stalls[kW].hit();
        top.PORT(axi, rvalid) = r_valid;
        if (r_valid) {
            const Burst& b = reads.front();
            const uint64_t addr = b.addr + uint64_t(read_beat) * kBytes;
            const uint8_t resp = response(addr);
            top.PORT(axi, rresp) = resp;
            top.PORT(axi, rlast) = read_beat + 1 == b.beats;
            if (addr + kBytes <= dram.size())
                memcpy(&top.PORT(axi, rdata), &dram[addr], kBytes);
            else
                memset(&top.PORT(axi, rdata), 0, kBytes);
        }
        top.PORT(axi, bvalid) = b_valid;
        if (b_valid) top.PORT(axi, bresp) = answers.front().resp;

        top.clk = 0;
        top.eval();
#if VM_TRACE
        if (trace) trace->dump(context.time());
        context.timeInc(1);
#endif
        // Handshakes of this clock.
        const bool ar = top.PORT(axi, arvalid) && top.PORT(axi, arready);
        const bool aw = top.PORT(axi, awvalid) && top.PORT(axi, awready);
        const bool w = top.PORT(axi, wvalid) && top.PORT(axi, wready);
        const bool r = r_valid && top.PORT(axi, rready);
        const bool b = b_valid && top.PORT(axi, bready);
        const uint64_t ar_now = uint64_t(top.PORT(axi, araddr)) << 8 | top.PORT(axi, arlen);
        const uint64_t aw_now = uint64_t(top.PORT(axi, awaddr)) << 8 | top.PORT(axi, awlen);
        if (ar_held && (!top.PORT(axi, arvalid) || ar_now != ar_last)) complain("AR changed while it waited");
        if (aw_held && (!top.PORT(axi, awvalid) || aw_now != aw_last)) complain("AW changed while it waited");
        if (w_held && (!top.PORT(axi, wvalid) || bool(top.PORT(axi, wlast)) != w_last_last ||
                       memcmp(&top.PORT(axi, wdata), w_data_last, kBytes)))
            complain("W changed while it waited");
        ar_held = top.PORT(axi, arvalid) && !ar;
        aw_held = top.PORT(axi, awvalid) && !aw;
        w_held = top.PORT(axi, wvalid) && !w;
        ar_last = ar_now;
        aw_last = aw_now;
        memcpy(w_data_last, &top.PORT(axi, wdata), kBytes);
        w_last_last = top.PORT(axi, wlast);

        if (ar) {
            const uint32_t beats = top.PORT(axi, arlen) + 1u;
            check_burst("read", top.PORT(axi, araddr), beats, top.PORT(axi, arsize), top.PORT(axi, arburst));
            reads.push_back({top.PORT(axi, araddr), beats, cycle + latency, 0});
            if (ddr && ddr->submit_read(top.PORT(axi, araddr), beats) < 0)
                complain("the DRAM model refused a read");
        }
        if (aw) {
            const uint32_t beats = top.PORT(axi, awlen) + 1u;
            check_burst("write", top.PORT(axi, awaddr), beats, top.PORT(axi, awsize), top.PORT(axi, awburst));
            writes.push_back({top.PORT(axi, awaddr), beats, 0, 0});
        }
        if (w) {
            Burst& front = writes.front();
            const uint64_t addr = front.addr + uint64_t(write_beat) * kBytes;
            const uint8_t resp = response(addr);
            if (resp > front.resp) front.resp = resp;
            if (resp == 0) {
                const uint8_t* data = reinterpret_cast<const uint8_t*>(&top.PORT(axi, wdata));
                for (uint32_t i = 0; i < kBytes; ++i)
                    if (top.PORT(axi, wstrb) >> i & 1) dram[addr + i] = data[i];
            }
            ++write_beat;
            if (bool(top.PORT(axi, wlast)) != (write_beat == front.beats)) complain("WLAST is wrong");
            if (write_beat == front.beats) {
                front.ready_at = cycle + latency;
                if (ddr && ddr->submit_write(front.addr, front.beats) < 0)
                    complain("the DRAM model refused a write");
                const uint64_t end = front.addr + uint64_t(front.beats) * kBytes;
                if (front.addr >= watch_low && end <= watch_high && end % kRecord == 0)
                    event = true;
                answers.push_back(front);
                writes.pop_front();
                write_beat = 0;
            }
        }

        top.clk = 1;
        top.eval();
#if VM_TRACE
        if (trace) trace->dump(context.time());
        context.timeInc(1);
#endif
        probes.count();
        if (r) {
            r_valid = false;
            if (ddr) ddr->pop_read_beat();
            if (++read_beat == reads.front().beats) {
                reads.pop_front();
                read_beat = 0;
            }
        }
        if (b) {
            b_valid = false;
            if (ddr) ddr->pop_write_response();
            answers.pop_front();
        }
        ++cycle;
    }
};

}  // namespace

extern "C" {

void* skimp_create(uint64_t dram_bytes) {
    auto* sim = new Sim;
#if VM_TRACE
    sim->context.traceEverOn(true);
#endif
    sim->dram.resize(dram_bytes);
    sim->top.rst = 1;
    for (int i = 0; i < 4; ++i) sim->tick();
    sim->top.rst = 0;
    return sim;
}

void skimp_destroy(void* handle) {
    auto* sim = static_cast<Sim*>(handle);
#if VM_TRACE
    if (sim->trace) {
        sim->trace->close();
        delete sim->trace;
    }
#endif
    delete sim->ddr;
    delete sim;
}

// DDR4 timing instead of flat; values in the order of names, all of them fields of Ddr4Params.
int skimp_ddr4(void* handle, int count, const char** names, const int64_t* values) {
    Ddr4Params params;
    for (int i = 0; i < count; ++i)
        if (!params.set(names[i], values[i])) return 1;
    auto* sim = static_cast<Sim*>(handle);
    delete sim->ddr;
    sim->ddr = new Ddr4Port(kBytes, params);
    return 0;
}

// Bytes of the activation store from `start` on; 0 where there is none.
int skimp_chip(void* handle, uint64_t start, uint64_t count, uint8_t* bytes) {
#ifdef CHIP_MEMORY
    auto* sim = static_cast<Sim*>(handle);
    for (uint64_t i = 0; i < count; ++i) {
        const auto& beat = sim->top.rootp->CHIP_MEMORY[(start + i) / CHIP_BYTES];
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
    auto* sim = static_cast<Sim*>(handle);
    sim->watch_low = low;
    sim->watch_high = high;
}

int skimp_event(void* handle) {
    auto* sim = static_cast<Sim*>(handle);
    const bool event = sim->event;
    sim->event = false;
    return event;
}

uint8_t* skimp_dram(void* handle) { return static_cast<Sim*>(handle)->dram.data(); }
uint64_t skimp_cycle(void* handle) { return static_cast<Sim*>(handle)->cycle; }
const char* skimp_violation(void* handle) { return static_cast<Sim*>(handle)->violation.c_str(); }
void skimp_latency(void* handle, uint32_t clocks) { static_cast<Sim*>(handle)->latency = clocks; }
void skimp_hang(void* handle, int hang) { static_cast<Sim*>(handle)->hang = hang != 0; }

void skimp_stall(void* handle, int channel, uint32_t permille, uint32_t seed) {
    auto& stall = static_cast<Sim*>(handle)->stalls[channel];
    stall.permille = permille;
    stall.state = seed * 2654435761u | 1u;
}

void skimp_error(void* handle, uint64_t low, uint64_t high, int resp) {
    auto* sim = static_cast<Sim*>(handle);
    sim->error_low = low;
    sim->error_high = high;
    sim->error_resp = static_cast<uint8_t>(resp);
}

// Both return the response, or -1 where the slave does not answer.
int skimp_write(void* handle, uint32_t addr, uint32_t value) {
    auto* sim = static_cast<Sim*>(handle);
    auto& top = sim->top;
    top.PORT(axil, awaddr) = addr;
    top.PORT(axil, wdata) = value;
    top.PORT(axil, wstrb) = 0xF;
    top.PORT(axil, awvalid) = top.PORT(axil, wvalid) = top.PORT(axil, bready) = 1;
    bool taken = false;
    for (int i = 0; i < kLiteClocks; ++i) {
        top.eval();
        const bool now = top.PORT(axil, awready) && top.PORT(axil, wready);
        const bool answered = top.PORT(axil, bvalid);
        const int resp = top.PORT(axil, bresp);
        sim->tick();
        if (now && !taken) {
            taken = true;
            top.PORT(axil, awvalid) = top.PORT(axil, wvalid) = 0;
        }
        if (answered) {
            top.PORT(axil, bready) = 0;
            return resp;
        }
    }
    return -1;
}

int skimp_read(void* handle, uint32_t addr, uint32_t* value) {
    auto* sim = static_cast<Sim*>(handle);
    auto& top = sim->top;
    top.PORT(axil, araddr) = addr;
    top.PORT(axil, arvalid) = top.PORT(axil, rready) = 1;
    bool taken = false;
    for (int i = 0; i < kLiteClocks; ++i) {
        top.eval();
        const bool now = top.PORT(axil, arready);
        const bool answered = top.PORT(axil, rvalid);
        const int resp = top.PORT(axil, rresp);
        const uint32_t data = top.PORT(axil, rdata);
        sim->tick();
        if (now && !taken) {
            taken = true;
            top.PORT(axil, arvalid) = 0;
        }
        if (answered) {
            top.PORT(axil, rready) = 0;
            *value = data;
            return resp;
        }
    }
    return -1;
}

// Runs until the interrupt, a watched write, a violation or max_cycles; returns the clocks run.
uint64_t skimp_run(void* handle, uint64_t max_cycles) {
    auto* sim = static_cast<Sim*>(handle);
    uint64_t n = 0;
    while (n < max_cycles && !sim->top.irq && !sim->event && sim->violation.empty()) {
        sim->tick();
        ++n;
    }
    return n;
}

int skimp_irq(void* handle) { return static_cast<Sim*>(handle)->top.irq; }

// Counts what a public variable does from now on: its bits that change or, with `ones`, that are 1.
// Returns 0, or 1 where there is no such variable of that many bits.
int skimp_probe(void* handle, const char* scope, const char* name, int bits, int counter, int ones) {
    auto* sim = static_cast<Sim*>(handle);
    const auto path = std::string(sim->top.name()) + "." + scope;
    return !sim->probes.add(sim->context.scopeFind(path.c_str()), name, bits, counter, ones != 0);
}

const uint64_t* skimp_counters(void* handle) { return static_cast<Sim*>(handle)->probes.counters; }

int skimp_trace(void* handle, const char* path) {
#if VM_TRACE
    auto* sim = static_cast<Sim*>(handle);
    sim->trace = new Trace;
    sim->top.trace(sim->trace, 99);
    sim->trace->open(path);
    return sim->trace->isOpen() ? 0 : 1;
#else
    (void)handle;
    (void)path;
    return 1;
#endif
}
}
