// A few threads that share the chunks of one product at a time, cheap enough for products of 10 µs.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include <sched.h>
#include <unistd.h>

namespace paddock {

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// run() hands out chunks 0..n-1: each thread takes those of its own range in order, so that it reads
// memory in one stream, and then from the ends of the others' ranges. The caller works too and waits
// only for chunks that were taken: a thread that is asleep, or whose core is busy with something else,
// costs its share and no more. Of short chunks a thread takes up to `batch` at once, fewer towards its
// range's end: taking is a locked instruction, at which the CPU stops reading ahead. One caller at a
// time.
class Pool {
  public:
    using Chunk = void (*)(const void* context, int chunk);

    explicit Pool(int threads)
        : ranges_(static_cast<size_t>(threads > 1 ? threads : 1)), owner_(getpid()) {
        for (int i = 1; i < threads; i++) {
            try {
                workers_.emplace_back([this, i] { serve(i); });
            } catch (...) {
                break;  // no more threads to be had: the others take its chunks
            }
        }
    }

    // After a fork the threads exist in the parent only; the child must neither join them nor touch
    // the lock, which one of them may have held.
    bool owned() const { return getpid() == owner_; }

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    ~Pool() {
        {
            std::lock_guard<std::mutex> hold(lock_);
            stop_.store(true);
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }

    void run(Chunk work, const void* context, int n, int batch = 1) {
        work_ = work;
        batch_.store(batch, std::memory_order_relaxed);
        context_ = context;
        done_.store(0, std::memory_order_relaxed);
        round_++;
        const auto parts = static_cast<int64_t>(ranges_.size());
        // Sequentially consistent against the sleepers' own order: count, then look at the ranges.
        for (int64_t i = 0; i < parts; i++)
            ranges_[i].left.store(
                range(round_, static_cast<uint64_t>(n * i / parts),
                      static_cast<uint64_t>(n * (i + 1) / parts)));
        if (sleepers_.load() > 0) {
            { std::lock_guard<std::mutex> hold(lock_); }
            wake_.notify_all();
        }
        take_all(0);
        for (int spins = 0; done_.load(std::memory_order_acquire) != n; spins++) {
            if (spins < 4096) {
                relax();
            } else {
                sched_yield();  // the thread we wait for may need this very core
            }
        }
    }

    static constexpr int max_chunks = 1 << 20;

  private:
    // What is left of a thread's share: 22 bits of round, 21 of its end, 21 of the next chunk. Read and
    // changed together, so that a latecomer never mixes two rounds. While a chunk is out its round
    // cannot end, so work_ and context_ are those of the range that it was taken from.
    struct alignas(64) Range {
        std::atomic<uint64_t> left{0};
    };

    static constexpr uint64_t mask = (1 << 21) - 1;

    static uint64_t range(uint32_t round, uint64_t next, uint64_t end) {
        return static_cast<uint64_t>(round) << 42 | end << 21 | next;
    }

    static bool open(uint64_t left) { return (left & mask) < (left >> 21 & mask); }

    bool any() const {
        for (const Range& one : ranges_)
            if (open(one.left.load())) return true;
        return false;
    }

    // Works until nothing is left. What was done is told once, and until then the round cannot end.
    void take_all(int self) {
        int done = 0;
        while (const int some = take(self)) done += some;
        if (done) done_.fetch_add(done, std::memory_order_release);
    }

    // The next chunks of the thread's own, else the last of another's; returns how many.
    int take(int self) {
        const int n = static_cast<int>(ranges_.size());
        for (int i = 0; i < n; i++) {
            std::atomic<uint64_t>& left = ranges_[(self + i) % n].left;
            // Acquires what run() wrote before it.
            uint64_t seen = left.load(std::memory_order_acquire);
            while (open(seen)) {
                const uint64_t next = seen & mask, end = seen >> 21 & mask;
                const auto most = static_cast<uint64_t>(batch_.load(std::memory_order_relaxed));
                const uint64_t count = i > 0 ? 1 : std::min((end - next + 3) / 4, most);
                const uint64_t rest = i == 0 ? seen + count : seen - ((mask + 1) * count);
                if (!left.compare_exchange_weak(seen, rest, std::memory_order_acq_rel)) continue;
                const uint64_t first = i == 0 ? next : end - count;
                for (uint64_t chunk = first; chunk < first + count; chunk++)
                    work_(context_, static_cast<int>(chunk));
                return static_cast<int>(count);
            }
        }
        return 0;
    }

    void serve(int self) {
        while (!stop_.load()) {
            take_all(self);
            const auto end = std::chrono::steady_clock::now() + spin;
            bool found = false;
            do {
                for (int i = 0; i < 64 && !found; i++) {
                    relax();
                    found = any();
                }
            } while (!found && std::chrono::steady_clock::now() < end);
            if (found) continue;
            std::unique_lock<std::mutex> hold(lock_);
            sleepers_.fetch_add(1);
            wake_.wait(hold, [this] { return stop_.load() || any(); });
            sleepers_.fetch_sub(1);
        }
    }

    // Longer than what lies between two tokens, short enough not to be noticed by anyone else.
    static constexpr std::chrono::microseconds spin{200};

    std::vector<Range> ranges_;
    alignas(64) std::atomic<int> done_{0};
    alignas(64) std::atomic<int> sleepers_{0};
    std::atomic<bool> stop_{false};
    Chunk work_ = nullptr;
    const void* context_ = nullptr;
    std::atomic<int> batch_{1};  // a latecomer may read that of the next round, and then takes nothing
    uint32_t round_ = 0;
    std::mutex lock_;
    std::condition_variable wake_;
    std::vector<std::thread> workers_;
    const pid_t owner_;
};

}  // namespace paddock
