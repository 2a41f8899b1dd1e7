// Plays traces into Ddr4Port clock by clock, as a harness does, and prints what came when.
//
// stdin: "set NAME VALUE" and "stall PERMILLE" hold for the next trace only; "trace BEAT_BYTES
// COUNT" is followed by COUNT lines "CLOCK IS_WRITE ADDRESS BEATS". stdout, per trace: a line per
// request in its order ("w RESPONSE" or "r CLOCK CLOCK ..."), then the counters in one line.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ddr4.hpp"

struct Request {
    long long clock, is_write, address, beats;
    std::vector<int64_t> clocks;
};

static void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

static void run(int64_t beat_bytes, std::vector<Request>& requests, const Ddr4Params& params,
                uint32_t stall) {
    Ddr4Port port(beat_bytes, params);
    std::vector<Request*> in[2], out[2];
    for (auto& r : requests) in[r.is_write].push_back(&r);
    size_t at[2] = {0, 0};
    int64_t data = 0, read_free = 0, write_start = 0;
    uint32_t random = 1;
    size_t reads = 0, writes = 0, beat = 0;
    for (int64_t clock = 0; reads < in[0].size() || writes < in[1].size(); ++clock) {
        port.tick(clock);
        random = random * 1664525u + 1013904223u;
        const bool taken = (random >> 8) % 1000 >= stall;
        if (port.read_beat_ready() && taken) {
            Request* r = in[0][reads];
            if (port.read_beat_address() != int64_t(r->address) + int64_t(beat) * beat_bytes)
                fail("a beat of another address");
            r->clocks.push_back(clock);
            const bool last = port.read_beat_last();
            if (last != (++beat == size_t(r->beats))) fail("the last beat is wrong");
            port.pop_read_beat();
            if (last) ++reads, beat = 0;
        }
        if (port.write_response_ready()) {
            in[1][writes++]->clocks.push_back(clock);
            port.pop_write_response();
        }
        if (at[1] < in[1].size()) {
            Request* r = in[1][at[1]];
            // A beat of write data a clock from the request's clock on.
            if (data == 0) write_start = std::max<int64_t>(r->clock, write_start);
            if (clock >= write_start && data < r->beats) ++data;
            if (data == r->beats && port.can_write()) {
                if (port.submit_write(r->address, r->beats) < 0) fail("refused a write");
                ++at[1];
                data = 0;
                write_start = clock + 1;
            } else if (data == r->beats && port.submit_write(r->address, r->beats) != Ddr4::kFull) {
                fail("took a write though full");
            }
        }
        if (at[0] < in[0].size() && in[0][at[0]]->clock <= clock && read_free <= clock) {
            Request* r = in[0][at[0]];
            if (port.can_read()) {
                if (port.submit_read(r->address, r->beats) < 0) fail("refused a read");
                ++at[0];
                read_free = clock + 1;
            } else if (port.submit_read(r->address, r->beats) != Ddr4::kFull) {
                fail("took a read though full");
            }
        }
    }
    for (auto& r : requests) {
        std::printf(r.is_write ? "w" : "r");
        for (int64_t c : r.clocks) std::printf(" %lld", (long long)c);
        std::printf("\n");
    }
    // Writes may still wait in the queue; let them go, as Python's drain() does.
    port.advance(int64_t(1) << 40);
    const Ddr4Counters& c = port.counters();
    for (int64_t v : {c.reads, c.writes, c.row_hits, c.row_misses, c.row_conflicts, c.activates,
                      c.refreshes, c.turnarounds, c.read_bursts, c.write_bursts, c.busy_clocks,
                      c.refresh_clocks, c.open_clocks})
        std::printf("%lld ", (long long)v);
    std::printf("\n");
}

int main() {
    char word[64], name[64];
    Ddr4Params params;
    unsigned stall = 0;
    while (std::scanf("%63s", word) == 1) {
        long long a = 0, b = 0;
        if (!std::strcmp(word, "set")) {
            if (std::scanf("%63s %lld", name, &a) != 2 || !params.set(name, a)) fail("bad set");
        } else if (!std::strcmp(word, "stall")) {
            if (std::scanf("%u", &stall) != 1) fail("bad stall");
        } else if (!std::strcmp(word, "trace")) {
            if (std::scanf("%lld %lld", &a, &b) != 2) fail("bad trace");
            std::vector<Request> requests;
            for (long long i = 0; i < b; ++i) {
                Request r;
                const int got = std::scanf("%lld %lld %lld %lld", &r.clock, &r.is_write,
                                           &r.address, &r.beats);
                if (got != 4) fail("bad request");
                requests.push_back(r);
            }
            run(a, requests, params, stall);
            params = Ddr4Params();
            stall = 0;
        } else {
            fail("bad word");
        }
    }
}
