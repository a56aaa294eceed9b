// A few threads that share the chunks of one product at a time, cheap enough for products of 10 µs.
#pragma once

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

// run() hands out chunks 0..n-1 through one counter. The caller works too and waits only for chunks
// that were taken: a thread that is asleep, or whose core is busy with something else, costs its
// share and no more. One caller at a time.
class Pool {
  public:
    using Chunk = void (*)(const void* context, int chunk);

    explicit Pool(int threads) : owner_(getpid()) {
        for (int i = 1; i < threads; i++) {
            try {
                workers_.emplace_back([this] { serve(); });
            } catch (...) {
                break;  // no more threads to be had: the caller does the rest
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

    void run(Chunk work, const void* context, int n) {
        work_ = work;
        context_ = context;
        done_.store(0, std::memory_order_relaxed);
        round_++;
        // Sequentially consistent against the sleepers' own order: count, then look at the ticket.
        ticket_.store(static_cast<uint64_t>(round_) << 40 | static_cast<uint64_t>(n) << 20);
        if (sleepers_.load() > 0) {
            { std::lock_guard<std::mutex> hold(lock_); }
            wake_.notify_all();
        }
        while (take()) {
        }
        for (int spins = 0; done_.load(std::memory_order_acquire) != n; spins++) {
            if (spins < 4096) {
                relax();
            } else {
                sched_yield();  // the thread we wait for may need this very core
            }
        }
    }

    static constexpr int max_chunks = (1 << 20) - 4096;  // room for threads that count past the end

  private:
    // 24 bits of round, 20 of chunks in it, 20 of the next one: read together, so that a latecomer
    // never mixes two rounds. While a chunk is out its round cannot end, so work_ and context_ are
    // those of the ticket.
    static bool open(uint64_t ticket) { return (ticket & mask) < (ticket >> 20 & mask); }

    bool take() {
        if (!open(ticket_.load(std::memory_order_relaxed))) return false;
        const uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel);
        if (!open(ticket)) return false;
        work_(context_, static_cast<int>(ticket & mask));
        done_.fetch_add(1, std::memory_order_release);
        return true;
    }

    void serve() {
        while (!stop_.load()) {
            while (take()) {
            }
            const auto end = std::chrono::steady_clock::now() + spin;
            bool found = false;
            do {
                for (int i = 0; i < 64 && !found; i++) {
                    relax();
                    found = open(ticket_.load(std::memory_order_relaxed));
                }
            } while (!found && std::chrono::steady_clock::now() < end);
            if (found) continue;
            std::unique_lock<std::mutex> hold(lock_);
            sleepers_.fetch_add(1);
            wake_.wait(hold, [this] { return stop_.load() || open(ticket_.load()); });
            sleepers_.fetch_sub(1);
        }
    }

    static constexpr uint64_t mask = (1 << 20) - 1;
    // Longer than what lies between two tokens, short enough not to be noticed by anyone else.
    static constexpr std::chrono::microseconds spin{200};

    alignas(64) std::atomic<uint64_t> ticket_{0};
    alignas(64) std::atomic<int> done_{0};
    alignas(64) std::atomic<int> sleepers_{0};
    std::atomic<bool> stop_{false};
    Chunk work_ = nullptr;
    const void* context_ = nullptr;
    uint32_t round_ = 0;
    std::mutex lock_;
    std::condition_variable wake_;
    std::vector<std::thread> workers_;
    const pid_t owner_;
};

}  // namespace paddock
