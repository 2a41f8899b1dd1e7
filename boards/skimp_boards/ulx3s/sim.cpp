// The board's top level, verilated: clock, button, lamps, and the bytes on its serial line.
#include <cstdint>
#include <cstring>
#include <deque>

#include "Vulx3s.h"
#include "verilated.h"

namespace {

constexpr int kDataBits = 8;

struct Board {
    VerilatedContext context;
    Vulx3s top{&context};
    uint32_t divisor;
    uint64_t cycle = 0;
    std::deque<uint8_t> to_board, from_board;

    // What is on the way: the bits that are left, lowest first, and the clocks left of this one.
    uint32_t sending = 0, bits_to_send = 0, send_clocks = 0;
    uint32_t received = 0, bits_to_receive = 0, receive_clocks = 0;
    uint64_t damaged = 0;

    explicit Board(uint32_t divisor_) : divisor(divisor_) {
        top.clk_25mhz = 0;
        top.ftdi_txd = 1;
        top.btn_fire1 = 0;
        top.eval();
    }

    void send_bit() {
        if (send_clocks > 0) {
            --send_clocks;
            return;
        }
        if (bits_to_send == 0) {
            top.ftdi_txd = 1;
            if (to_board.empty()) return;
            sending = (1u << (kDataBits + 1)) | (uint32_t(to_board.front()) << 1);
            to_board.pop_front();
            bits_to_send = kDataBits + 2;
        }
        top.ftdi_txd = sending & 1;
        sending >>= 1;
        --bits_to_send;
        send_clocks = divisor - 1;
    }

    void receive_bit() {
        if (bits_to_receive == 0) {
            if (top.ftdi_rxd) return;
            bits_to_receive = kDataBits + 1;
            received = 0;
            receive_clocks = divisor + divisor / 2 - 1;
            return;
        }
        if (receive_clocks > 0) {
            --receive_clocks;
            return;
        }
        receive_clocks = divisor - 1;
        if (--bits_to_receive > 0) {
            received = (received >> 1) | (uint32_t(top.ftdi_rxd) << (kDataBits - 1));
        } else if (top.ftdi_rxd) {
            from_board.push_back(uint8_t(received));
        } else {
            ++damaged;  // no stop bit
        }
    }

    void clock() {
        send_bit();
        top.clk_25mhz = 1;
        top.eval();
        receive_bit();
        top.clk_25mhz = 0;
        top.eval();
        ++cycle;
    }
};

}  // namespace

extern "C" {

void* board_create(uint32_t divisor) { return new Board(divisor); }
void board_destroy(void* handle) { delete static_cast<Board*>(handle); }

void board_send(void* handle, const uint8_t* data, uint64_t count) {
    auto& board = *static_cast<Board*>(handle);
    board.to_board.insert(board.to_board.end(), data, data + count);
}

// Runs until so many bytes have come, or so many clocks have passed; returns the bytes there are.
uint64_t board_run(void* handle, uint64_t cycles, uint64_t count) {
    auto& board = *static_cast<Board*>(handle);
    while (cycles-- > 0 && board.from_board.size() < count) board.clock();
    return board.from_board.size();
}

void board_take(void* handle, uint8_t* data, uint64_t count) {
    auto& board = *static_cast<Board*>(handle);
    for (uint64_t i = 0; i < count; ++i) {
        data[i] = board.from_board.front();
        board.from_board.pop_front();
    }
}

void board_button(void* handle, int pressed) {
    static_cast<Board*>(handle)->top.btn_fire1 = pressed != 0;
}

uint32_t board_leds(void* handle) { return static_cast<Board*>(handle)->top.led; }
uint64_t board_cycle(void* handle) { return static_cast<Board*>(handle)->cycle; }
uint64_t board_damaged(void* handle) { return static_cast<Board*>(handle)->damaged; }
}
