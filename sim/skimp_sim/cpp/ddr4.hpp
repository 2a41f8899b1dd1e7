// When does each beat of each burst come? A DDR4 channel and its controller, by transaction.
//
// The same model as sim/skimp_sim/dram/ddr4.py, whose text describes addresses, controller and
// units; tests hold both to the same clocks. The numbers come from ddr4_params.h, which
// skimp_sim.dram.Ddr4Params.header() writes.
//
// Ddr4Port is for a harness that runs per clock. In each clock: tick(clock) first, then what the
// bus does in it:
//   read address   offer "ready" if can_read(); taken: submit_read(address, beats)
//   read data      offer "valid" if read_beat_ready(); taken: pop_read_beat()
//   write data     before a burst's last beat is taken (or before its address is) there must be
//                  can_write(); last beat taken: submit_write(address, beats)
//   write response offer "valid" if write_response_ready(); taken: pop_write_response()
// At most one read beat and one response is taken per clock. Beats that are not taken when they
// come wait for the harness, and so does their burst's place in the queue; the DRAM's own times do
// not change by that.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "ddr4_params.h"

struct Ddr4Counters {
    int64_t reads = 0, writes = 0;
    int64_t row_hits = 0, row_misses = 0, row_conflicts = 0;
    int64_t activates = 0, refreshes = 0, turnarounds = 0;
    int64_t read_bursts = 0, write_bursts = 0;
    int64_t busy_clocks = 0, refresh_clocks = 0, open_clocks = 0;
};

class Ddr4 {
public:
    static constexpr int64_t kFull = -1;     // submit: try again later
    static constexpr int64_t kInvalid = -2;  // submit: not aligned, or leaves its logical page
    static constexpr int64_t kNever = int64_t(1) << 62;

    struct Burst {
        int64_t ticket, address, beats, clock, arrival, unit, units, row, bank;
        bool is_write, decided;
        // Fabric clocks of the first and the last beat; of the response for a write.
        int64_t first, last;
        int64_t floor;              // clock of the read beat before the first
        int64_t done;               // first clock in which its place in the queue is free
        std::vector<int64_t> columns;  // DDR clocks, at most one per group; then t_ccd_s apart
    };

    // A width that is no power of two leaves a model that refuses every burst.
    Ddr4(int64_t beat_bytes, const Ddr4Params& params = {})
        : p_(params), beat_bytes_(beat_bytes) {
        ports_ = std::max<int64_t>(1, beat_bytes / p_.port_bytes);
        fits_ = beat_bytes > 0 && (beat_bytes & (beat_bytes - 1)) == 0;
        stripe_bytes_ = p_.burst_bytes * ports_;
        stripe_beats_ = stripe_bytes_ / beat_bytes;
        page_bytes_ = p_.page_bytes * p_.bank_groups;
        const size_t banks = size_t(p_.bank_groups * p_.banks_per_group);
        row_.assign(banks, -1);
        column_ok_.assign(banks, 0);
        close_ok_.assign(banks, 0);
        group_activate_.assign(size_t(p_.bank_groups), kLongAgo);
        for (auto& columns : group_column_) columns.assign(size_t(p_.bank_groups), kLongAgo);
        due_ = p_.t_refi ? p_.t_refi : kNever;
    }

    // Decides all that can be decided before fabric clock `now` begins. Clocks never go back.
    void advance(int64_t now) {
        now_ = now;
        if (waiting(0) || waiting(1)) {
            const int64_t limit = to_ddr(now);
            for (int64_t time; (time = next_time()) < limit;) decide(time);
        }
        release();
    }

    bool can_submit(int64_t now, bool is_write) {
        advance(now);
        return int64_t(held_[is_write].size()) < (is_write ? p_.write_queue : p_.read_queue);
    }

    // A ticket (counted from 0 in each direction), kFull or kInvalid. `now` is the clock in which
    // the address is taken (read), or the last beat of data (write).
    int64_t submit(int64_t now, bool is_write, int64_t address, int64_t beats) {
        const int64_t end = address + beats * beat_bytes_, page = address / page_bytes_;
        if (!fits_ || address < 0 || address % beat_bytes_ || beats < 1 ||
            page != (end - 1) / page_bytes_)
            return kInvalid;
        if (!can_submit(now, is_write)) return kFull;
        Burst b{};
        b.ticket = tickets_[is_write]++;
        b.address = address;
        b.beats = beats;
        b.clock = now;
        b.is_write = is_write;
        b.arrival = to_ddr(now);
        b.unit = address / stripe_bytes_ * ports_;
        b.units = (end + stripe_bytes_ - 1) / stripe_bytes_ * ports_ - b.unit;
        b.row = page / p_.banks_per_group;
        b.bank = page % p_.banks_per_group;
        if (is_write) {
            response_ = std::max(now + p_.write_latency, response_ + 1);
            b.first = b.last = response_;
        }
        held_[is_write].push_back(std::move(b));
        return tickets_[is_write] - 1;
    }

    // The burst while it has a place in the queue, else null.
    const Burst* find(bool is_write, int64_t ticket) const {
        const auto& held = held_[is_write];
        if (held.empty() || ticket < held.front().ticket || ticket > held.back().ticket)
            return nullptr;
        return &held[size_t(ticket - held.front().ticket)];
    }

    // Clock of a beat of a decided read; the clock of the beat before it is given.
    int64_t beat_clock(const Burst& b, int64_t beat, int64_t before) const {
        const int64_t head = b.address / beat_bytes_ % stripe_beats_;
        return std::max(stripe_ready(b, (head + beat) / stripe_beats_), before + 1);
    }

    const Ddr4Counters& counters() const { return counters_; }
    // DDR clocks with a row open until fabric clock `now`, refreshes yet to come left out.
    int64_t open_clocks(int64_t now) const {
        return counters_.open_clocks +
               (open_since_ >= 0 ? std::max<int64_t>(0, to_ddr(now) - open_since_) : 0);
    }

protected:
    static constexpr int64_t kLongAgo = -(int64_t(1) << 40);

    int64_t to_ddr(int64_t clock) const {
        return (clock * p_.ddr_mhz + p_.fabric_mhz - 1) / p_.fabric_mhz;
    }
    int64_t to_fabric(int64_t time) const {
        return (time * p_.fabric_mhz + p_.ddr_mhz - 1) / p_.ddr_mhz;
    }

    size_t waiting(int w) const { return held_[w].size() - decided_[w]; }
    const Burst& waiter(int w, size_t i) const { return held_[w][decided_[w] + i]; }

    int64_t next_time() const {
        int64_t time = kNever;
        for (int w = 0; w < 2; ++w)
            if (waiting(w)) time = std::min(time, waiter(w, 0).arrival);
        return time == kNever ? kNever : std::max(time, free_);
    }

    void release() {
        for (int w = 0; w < 2; ++w) {
            auto& held = held_[w];
            while (decided_[w] && held.front().done <= now_ && (w || !popped_ || taken_)) {
                held.pop_front();
                --decided_[w];
                if (!w && popped_) --taken_;
            }
        }
    }

    void decide(int64_t time) {
        if (time >= due_) {
            while (time >= due_) refresh();
            free_ = std::max(free_, closed_);
            return;
        }
        const auto arrived = [&](int w, int64_t i) {
            return int64_t(waiting(w)) > i && waiter(w, size_t(i)).arrival <= time;
        };
        bool write = arrived(1, 0);
        if (write && arrived(0, 0)) {
            write = writing_ ? in_row_ < p_.run && arrived(1, p_.write_low)
                             : in_row_ >= p_.run && arrived(1, p_.write_high - 1);
            write = write || collides(waiter(0, 0));
        }
        if (write != writing_) {
            writing_ = write;
            in_row_ = 0;
            ahead_.clear();
            if (counters_.read_bursts || counters_.write_bursts) ++counters_.turnarounds;
        }
        ++in_row_;
        begin(held_[write][decided_[write]], time);
        ++decided_[write];
    }

    // Does a write that came before it touch a stripe of this read?
    bool collides(const Burst& read) const {
        for (size_t i = 0; i < waiting(1); ++i) {
            const Burst& w = waiter(1, i);
            if (w.arrival > read.arrival) return false;
            if (w.unit < read.unit + read.units && read.unit < w.unit + w.units) return true;
        }
        return false;
    }

    void refresh() {
        int64_t start = std::max(due_, closed_);
        if (open_since_ >= 0) {
            start = std::max(start, all_close_ok_);
            counters_.open_clocks += start - open_since_;
            start += p_.t_rp;
            open_since_ = -1;
            std::fill(row_.begin(), row_.end(), -1);
        }
        closed_ = start + p_.t_rfc;
        due_ += p_.t_refi;
        ahead_.clear();
        ++counters_.refreshes;
        counters_.refresh_clocks += p_.t_rfc;
    }

    // Settles all commands of a burst that is chosen at `time`.
    void begin(Burst& b, int64_t time) {
        const int64_t groups = p_.bank_groups, ccd = p_.t_ccd_s;
        auto& mine = group_column_[b.is_write];
        const auto& other = group_column_[!b.is_write];
        int64_t floor, other_gap, to_close;
        if (b.is_write) {
            floor = std::max(column_[0] + p_.cl + p_.data_clocks + p_.t_bubble - p_.cwl,
                             std::max(time, column_[1] + ccd));
            other_gap = 0;
            to_close = p_.cwl + p_.data_clocks + p_.t_wr;
        } else {
            floor = std::max(column_[1] + p_.cwl + p_.data_clocks + p_.t_wtr_s,
                             std::max(time, column_[0] + ccd));
            other_gap = p_.cwl + p_.data_clocks + p_.t_wtr_l;
            to_close = p_.t_rtp;
        }
        const int64_t ahead = std::max(ahead_.empty() ? time : ahead_.front(), b.arrival);
        if (p_.lookahead) {
            if (int64_t(ahead_.size()) == p_.lookahead) ahead_.pop_front();
            ahead_.push_back(time);
        }

        const int64_t base = b.bank * groups, count = std::min(b.units, groups);
        int64_t opened = 0;
        b.columns.resize(size_t(count));
        for (int64_t i = 0; i < count; ++i) {
            const size_t group = size_t((b.unit + i) % groups), bank = size_t(base) + group;
            int64_t at;
            if (row_[bank] != b.row) {
                if (row_[bank] >= 0) {
                    ++counters_.row_conflicts;
                    at = std::max(ahead, close_ok_[bank]) + p_.t_rp;
                } else {
                    ++counters_.row_misses;
                    at = std::max(ahead, closed_);
                }
                at = std::max(std::max(at, activates_[activate_] + p_.t_faw),
                              std::max(activates_[(activate_ + 3) % 4] + p_.t_rrd_s,
                                       group_activate_[group] + p_.t_rrd_l));
                activates_[activate_] = group_activate_[group] = at;
                activate_ = (activate_ + 1) % 4;
                if (open_since_ < 0) open_since_ = at;
                row_[bank] = b.row;
                column_ok_[bank] = at + p_.t_rcd;
                close_ok_[bank] = at + p_.t_ras;
                ++opened;
            }
            at = std::max(std::max(floor, column_ok_[bank]),
                          std::max(mine[group] + p_.t_ccd_l, other[group] + other_gap));
            b.columns[size_t(i)] = at;
            floor = at + ccd;
        }
        for (int64_t i = std::max<int64_t>(0, b.units - groups); i < b.units; ++i) {
            const size_t group = size_t((b.unit + i) % groups), bank = size_t(base) + group;
            mine[group] = column(b, i);
            close_ok_[bank] = std::max(close_ok_[bank], mine[group] + to_close);
            all_close_ok_ = std::max(all_close_ok_, close_ok_[bank]);
        }
        const int64_t last = column(b, b.units - 1);
        column_[b.is_write] = free_ = last;
        counters_.activates += opened;
        counters_.row_hits += b.units - opened;
        counters_.busy_clocks += b.units * p_.data_clocks;
        b.decided = true;
        if (b.is_write) {
            counters_.writes += b.units;
            ++counters_.write_bursts;
            b.done = to_fabric(last + p_.cwl + p_.data_clocks);
        } else {
            counters_.reads += b.units;
            ++counters_.read_bursts;
            deliver(b);
        }
    }

    // Clocks of the first and the last beat of a read.
    void deliver(Burst& b) {
        const int64_t stripes = b.units / ports_;
        const int64_t even = std::max<int64_t>(2, int64_t(b.columns.size()) / ports_);
        const int64_t head = b.address / beat_bytes_ % stripe_beats_;
        b.floor = bus_;
        b.first = std::max(stripe_ready(b, 0), bus_ + 1);
        int64_t last = b.first + b.beats - 1;
        // From the last of the columns on (and from the first whole stripe on) stripes come evenly:
        // the first of them and the very last one stand for all.
        const auto behind = [&](int64_t j) {
            return stripe_ready(b, j) + b.beats - (j * stripe_beats_ - head) - 1;
        };
        for (int64_t j = 1; j < std::min(even, stripes); ++j) last = std::max(last, behind(j));
        if (stripes > even) last = std::max(last, behind(stripes - 1));
        b.last = bus_ = last;
        b.done = last + 1;
    }

    int64_t column(const Burst& b, int64_t i) const {
        const int64_t count = int64_t(b.columns.size());
        return i < count ? b.columns[size_t(i)] : b.columns.back() + (i - count + 1) * p_.t_ccd_s;
    }

    int64_t stripe_ready(const Burst& b, int64_t stripe) const {
        return to_fabric(column(b, (stripe + 1) * ports_ - 1) + p_.cl + p_.data_clocks) +
               p_.read_latency;
    }

    Ddr4Params p_;
    int64_t beat_bytes_, ports_, stripe_bytes_, stripe_beats_, page_bytes_;
    bool fits_;
    Ddr4Counters counters_;
    std::deque<Burst> held_[2];  // all bursts that have a place in a queue
    size_t decided_[2] = {0, 0};  // how many of them, from the front, are decided
    int64_t tickets_[2] = {0, 0};
    std::vector<int64_t> row_, column_ok_, close_ok_;  // per bank
    std::vector<int64_t> group_activate_, group_column_[2];
    int64_t column_[2] = {kLongAgo, kLongAgo};
    int64_t activates_[4] = {kLongAgo, kLongAgo, kLongAgo, kLongAgo};
    int activate_ = 0;  // the oldest of them
    int64_t closed_ = 0, all_close_ok_ = 0, open_since_ = -1, due_;
    std::deque<int64_t> ahead_;  // decisions since the last change of direction or refresh
    bool writing_ = false;
    int64_t in_row_ = 0;  // bursts since the last change of direction
    int64_t free_ = 0, bus_ = -1, response_ = -1, now_ = 0;
    // For Ddr4Port: a read keeps its place until it is popped; so many at the front are.
    bool popped_ = false;
    size_t taken_ = 0;
};

class Ddr4Port : public Ddr4 {
public:
    Ddr4Port(int64_t beat_bytes, const Ddr4Params& params = {}) : Ddr4(beat_bytes, params) {
        popped_ = true;
    }

    void tick(int64_t now) { advance(now); }

    bool can_read() const { return int64_t(held_[0].size()) < p_.read_queue; }
    bool can_write() const { return int64_t(held_[1].size()) < p_.write_queue; }

    int64_t submit_read(int64_t address, int64_t beats) {
        return submit(now_, false, address, beats);
    }
    int64_t submit_write(int64_t address, int64_t beats) {
        const int64_t ticket = submit(now_, true, address, beats);
        if (ticket >= 0) responses_.push_back(response_);
        return ticket;
    }

    bool read_beat_ready() {
        if (taken_ >= decided_[0]) return false;
        if (!due_known_) {
            const Burst& b = held_[0][taken_];
            beat_due_ = beat_clock(b, beat_, beat_ ? beat_due_ : b.floor);
            due_known_ = true;
        }
        return beat_due_ <= now_;
    }
    // Which beat read_beat_ready() is about.
    int64_t read_beat_address() const {
        return held_[0][taken_].address + beat_ * beat_bytes_;
    }
    bool read_beat_last() const { return beat_ + 1 == held_[0][taken_].beats; }
    void pop_read_beat() {
        due_known_ = false;
        if (++beat_ == held_[0][taken_].beats) {
            beat_ = 0;
            ++taken_;
        }
    }

    bool write_response_ready() const {
        return !responses_.empty() && responses_.front() <= now_;
    }
    void pop_write_response() { responses_.pop_front(); }

private:
    std::deque<int64_t> responses_;
    int64_t beat_ = 0, beat_due_ = 0;
    bool due_known_ = false;
};
