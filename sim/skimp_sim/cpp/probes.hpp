// Counters of bits that change, or that are 1, in public variables of the model.

#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <tuple>
#include <vector>

#include "verilated.h"
#include "verilated_sym_props.h"

class Probes {
public:
    static constexpr int kCounters = 256;
    uint64_t counters[kCounters] = {};

    bool add(const VerilatedScope* scope, const char* name, int bits, int counter, bool ones) {
        const VerilatedVar* var = scope ? scope->varFind(name) : nullptr;
        if (!var || counter < 0 || counter >= kCounters) return false;
        const void* data = var->datap();
        switch (var->vltype()) {
        case VLVT_UINT8: return bits <= 8 && put<uint8_t>(data, counter, ones);
        case VLVT_UINT16: return bits <= 16 && put<uint16_t>(data, counter, ones);
        case VLVT_UINT32: return bits <= 32 && put<uint32_t>(data, counter, ones);
        case VLVT_UINT64: return bits <= 64 && put<uint64_t>(data, counter, ones);
        case VLVT_WDATA:
            for (int word = 0; 32 * word < bits; ++word)
                put<uint32_t>(static_cast<const uint32_t*>(data) + word, counter, ones);
            return true;
        default: return false;
        }
    }

    void count() {
        std::apply([this](auto&... group) { (this->count(group), ...); }, changing_);
        std::apply([this](auto&... group) { (this->sum(group), ...); }, set_);
    }

private:
    template <typename T>
    struct Watched {
        const T* data;
        T last;
        int32_t counter;
    };
    template <typename T>
    using Group = std::vector<Watched<T>>;
    using Groups = std::tuple<Group<uint8_t>, Group<uint16_t>, Group<uint32_t>, Group<uint64_t>>;
    Groups changing_, set_;

    template <typename T>
    bool put(const void* data, int counter, bool ones) {
        auto& group = std::get<Group<T>>(ones ? set_ : changing_);
        const T* at = static_cast<const T*>(data);
        group.push_back({at, *at, counter});
        return true;
    }

    template <typename T>
    void count(Group<T>& group) {
        for (auto& watched : group) {
            const T now = *watched.data;
            const T changed = now ^ watched.last;
            if (changed) {
                counters[watched.counter] += std::popcount(changed);
                watched.last = now;
            }
        }
    }

    template <typename T>
    void sum(const Group<T>& group) {
        for (const auto& watched : group) counters[watched.counter] += std::popcount(*watched.data);
    }
};
