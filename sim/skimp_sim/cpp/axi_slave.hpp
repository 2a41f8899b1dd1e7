// A DRAM as an AXI4 slave: one port of it, driven clock by clock.
//
// Bursts go in order, several under way. The times are those of a DDR4 channel (ddr4.hpp) or, flat,
// a latency to the first beat and then a beat a clock each way. The slave checks the rules that a
// master must keep and can stall every channel at random, answer a range of addresses with an
// error, or stop taking anything.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "ddr4.hpp"
#include "verilated.h"

enum Channel { kAr, kR, kAw, kW, kB, kChannels };

struct Stall {
    uint32_t state = 1;
    uint32_t permille = 0;

    void set(uint32_t permille_, uint32_t seed) {
        permille = permille_;
        state = seed * 2654435761u | 1u;
    }

    bool hit() {
        if (permille == 0) return false;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state % 1000 < permille;
    }
};

// What all ports have in common.
struct Memory {
    std::vector<uint8_t> bytes;
    uint64_t cycle = 0;
    uint32_t latency = 30;
    uint64_t error_low = 0, error_high = 0;
    uint8_t error_resp = 0;
    bool hang = false;
    uint64_t watch_low = 0, watch_high = 0;
    bool event = false;
    std::string violation;

    void complain(const std::string& what) {
        if (violation.empty()) violation = "clock " + std::to_string(cycle) + ": " + what;
    }

    uint8_t response(uint64_t addr, uint32_t count) const {
        if (error_resp && addr >= error_low && addr < error_high) return error_resp;
        return addr + count <= bytes.size() ? 0 : 3;
    }
};

// The pins of a port of a verilated model.
template <class Addr, class Data, class Strobes>
struct AxiPins {
    CData &arvalid, &arready;
    Addr& araddr;
    CData &arlen, &arsize, &arburst;
    CData &rvalid, &rready;
    Data& rdata;
    CData &rresp, &rlast;
    CData &awvalid, &awready;
    Addr& awaddr;
    CData &awlen, &awsize, &awburst;
    CData &wvalid, &wready;
    Data& wdata;
    Strobes& wstrb;
    CData& wlast;
    CData &bvalid, &bready, &bresp;
};

#define AXI_PINS(top, prefix)                                                                   \
    AxiPins {                                                                                   \
        top.prefix##arvalid, top.prefix##arready, top.prefix##araddr, top.prefix##arlen,        \
        top.prefix##arsize, top.prefix##arburst, top.prefix##rvalid, top.prefix##rready,        \
        top.prefix##rdata, top.prefix##rresp, top.prefix##rlast, top.prefix##awvalid,           \
        top.prefix##awready, top.prefix##awaddr, top.prefix##awlen, top.prefix##awsize,         \
        top.prefix##awburst, top.prefix##wvalid, top.prefix##wready, top.prefix##wdata,         \
        top.prefix##wstrb, top.prefix##wlast, top.prefix##bvalid, top.prefix##bready,           \
        top.prefix##bresp                                                                       \
    }

// In each clock: drive(), settle the model with its clock low, take().
template <uint32_t kBytes, class Pins>
class AxiSlave {
public:
    Stall stalls[kChannels];
    Ddr4Port* ddr = nullptr;  // null: flat

    AxiSlave(const Pins& pins, Memory& memory) : pins_(pins), memory_(memory) {}

    // Forgets everything that is under way.
    void reset() {
        reads_.clear();
        writes_.clear();
        answers_.clear();
        read_beat_ = write_beat_ = 0;
        r_valid_ = b_valid_ = ar_held_ = aw_held_ = w_held_ = false;
        pins_.arready = pins_.awready = pins_.wready = pins_.rvalid = pins_.bvalid = 0;
    }

    // Outputs of the slave for this clock.
    void drive() {
        const uint64_t cycle = memory_.cycle;
        const bool hang = memory_.hang;
        if (ddr) ddr->tick(cycle);
        if (!r_valid_ && !reads_.empty() && !stalls[kR].hit())
            r_valid_ = ddr ? ddr->read_beat_ready() : cycle >= reads_.front().ready_at;
        if (!b_valid_ && !answers_.empty() && !stalls[kB].hit())
            b_valid_ = ddr ? ddr->write_response_ready() : cycle >= answers_.front().ready_at;
        const bool room = !ddr || ddr->can_read();
        const bool last_beat = !writes_.empty() && write_beat_ + 1 == writes_.front().beats;
        const bool write_room = !ddr || !(last_beat || writes_.empty()) || ddr->can_write();
        pins_.arready = !hang && reads_.size() < kBursts && room && !stalls[kAr].hit();
        pins_.awready = !hang && writes_.size() < kBursts && !stalls[kAw].hit();
        // Data waits for its address, as a slave may have it (AWVALID comes from a register).
        const bool addressed = !writes_.empty() || (pins_.awvalid && pins_.awready);
        pins_.wready = !hang && write_room && addressed && !stalls[kW].hit();
        pins_.rvalid = r_valid_;
        if (r_valid_) {
            const Burst& b = reads_.front();
            const uint64_t addr = b.addr + uint64_t(read_beat_) * kBytes;
            pins_.rresp = memory_.response(addr, kBytes);
            pins_.rlast = read_beat_ + 1 == b.beats;
            if (addr + kBytes <= memory_.bytes.size())
                memcpy(&pins_.rdata, &memory_.bytes[addr], kBytes);
            else
                memset(&pins_.rdata, 0, kBytes);
        }
        pins_.bvalid = b_valid_;
        if (b_valid_) pins_.bresp = answers_.front().resp;
    }

    // Handshakes of this clock.
    void take() {
        const uint64_t cycle = memory_.cycle;
        const bool ar = pins_.arvalid && pins_.arready;
        const bool aw = pins_.awvalid && pins_.awready;
        const bool w = pins_.wvalid && pins_.wready;
        const bool r = r_valid_ && pins_.rready;
        const bool b = b_valid_ && pins_.bready;
        const uint64_t ar_now = uint64_t(pins_.araddr) << 8 | pins_.arlen;
        const uint64_t aw_now = uint64_t(pins_.awaddr) << 8 | pins_.awlen;
        if (ar_held_ && (!pins_.arvalid || ar_now != ar_last_))
            memory_.complain("AR changed while it waited");
        if (aw_held_ && (!pins_.awvalid || aw_now != aw_last_))
            memory_.complain("AW changed while it waited");
        if (w_held_ && (!pins_.wvalid || bool(pins_.wlast) != w_last_last_ ||
                        memcmp(&pins_.wdata, w_data_last_, kBytes)))
            memory_.complain("W changed while it waited");
        ar_held_ = pins_.arvalid && !ar;
        aw_held_ = pins_.awvalid && !aw;
        w_held_ = pins_.wvalid && !w;
        ar_last_ = ar_now;
        aw_last_ = aw_now;
        memcpy(w_data_last_, &pins_.wdata, kBytes);
        w_last_last_ = pins_.wlast;

        if (ar) {
            const uint32_t beats = pins_.arlen + 1u;
            check_burst("read", pins_.araddr, beats, pins_.arsize, pins_.arburst);
            reads_.push_back({pins_.araddr, beats, cycle + memory_.latency, 0});
            if (ddr && ddr->submit_read(pins_.araddr, beats) < 0)
                memory_.complain("the DRAM model refused a read");
        }
        if (aw) {
            const uint32_t beats = pins_.awlen + 1u;
            check_burst("write", pins_.awaddr, beats, pins_.awsize, pins_.awburst);
            writes_.push_back({pins_.awaddr, beats, 0, 0});
        }
        if (w) write();
        if (r) {
            r_valid_ = false;
            if (ddr) ddr->pop_read_beat();
            if (++read_beat_ == reads_.front().beats) {
                reads_.pop_front();
                read_beat_ = 0;
            }
        }
        if (b) {
            b_valid_ = false;
            if (ddr) ddr->pop_write_response();
            answers_.pop_front();
        }
    }

private:
    static constexpr uint32_t kPage = 4096;
    static constexpr uint32_t kRecord = 64;
    static constexpr size_t kBursts = 16;

    struct Burst {
        uint64_t addr;
        uint32_t beats;
        uint64_t ready_at;
        uint8_t resp;
    };

    Pins pins_;
    Memory& memory_;
    std::deque<Burst> reads_, writes_, answers_;
    uint32_t read_beat_ = 0, write_beat_ = 0;
    bool r_valid_ = false, b_valid_ = false;
    // What a master held last clock without being taken: it must hold it still.
    bool ar_held_ = false, aw_held_ = false, w_held_ = false;
    uint64_t ar_last_ = 0, aw_last_ = 0;
    uint8_t w_data_last_[kBytes] = {};
    bool w_last_last_ = false;

    void check_burst(const char* what, uint64_t addr, uint32_t beats, int size, int burst) {
        const std::string name = what;
        if (addr % kBytes) memory_.complain(name + " address is not aligned");
        if ((1u << size) != kBytes) memory_.complain(name + " size is not the bus width");
        if (burst != 1) memory_.complain(name + " burst is not INCR");
        if (addr / kPage != (addr + beats * kBytes - 1) / kPage)
            memory_.complain(name + " burst crosses 4 KB");
    }

    void write() {
        Burst& front = writes_.front();
        const uint64_t addr = front.addr + uint64_t(write_beat_) * kBytes;
        const uint8_t resp = memory_.response(addr, kBytes);
        if (resp > front.resp) front.resp = resp;
        if (resp == 0) {
            const uint8_t* data = reinterpret_cast<const uint8_t*>(&pins_.wdata);
            for (uint32_t i = 0; i < kBytes; ++i)
                if (pins_.wstrb >> i & 1) memory_.bytes[addr + i] = data[i];
        }
        ++write_beat_;
        if (bool(pins_.wlast) != (write_beat_ == front.beats))
            memory_.complain("WLAST is wrong");
        if (write_beat_ != front.beats) return;
        front.ready_at = memory_.cycle + memory_.latency;
        if (ddr && ddr->submit_write(front.addr, front.beats) < 0)
            memory_.complain("the DRAM model refused a write");
        const uint64_t end = front.addr + uint64_t(front.beats) * kBytes;
        if (front.addr >= memory_.watch_low && end <= memory_.watch_high && end % kRecord == 0)
            memory_.event = true;
        answers_.push_back(front);
        writes_.pop_front();
        write_beat_ = 0;
    }
};
