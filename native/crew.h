// Threads for the phases of a step: hands out what is worth it, does the rest itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

#include "pool.h"

namespace paddock {

class Crew {
  public:
    explicit Crew(int threads) : pool_(new Pool(threads)) {}

    ~Crew() {
        if (!pool_->owned()) (void)pool_.release();  // see Pool::owned
    }

    int threads() const { return pool_->threads(); }

    // Before a step: a forked child has no threads.
    void begin() { forked_ = !pool_->owned(); }

    // Calls part(0) .. part(n - 1), in any order and at the same time.
    // `work` in multiplications or so: little is not worth telling the other threads.
    template <class Part>
    void share(int n, size_t work, const Part& part) {
        if (forked_ || n == 1 || work < 16384 || pool_->threads() == 1) {
            for (int chunk = 0; chunk < n; chunk++) part(chunk);
            return;
        }
        const auto batch = static_cast<int>(std::max<size_t>(1, batch_work / (work / n + 1)));
        for (int first = 0; first < n; first += Pool::max_chunks) {
            const Shifted<Part> shifted = {&part, first};
            pool_->run(Shifted<Part>::call, &shifted, std::min(n - first, Pool::max_chunks), batch);
        }
    }

  private:
    static constexpr size_t batch_work = size_t{1} << 20;  // some 20 µs

    template <class Part>
    struct Shifted {
        const Part* part;
        int first;
        static void call(const void* self, int chunk) {
            const auto* s = static_cast<const Shifted*>(self);
            (*s->part)(s->first + chunk);
        }
    };

    std::unique_ptr<Pool> pool_;
    bool forked_ = false;
};

}  // namespace paddock
