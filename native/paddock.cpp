// The library's C interface, which runtimes/native/library.py calls through ctypes. All memory
// belongs to the caller, who checks every number before it gets here.

#include <cstdint>
#include <new>

#include "forward.h"

#define PADDOCK_EXPORT extern "C" __attribute__((visibility("default")))

// Goes up with every change of a struct or a signature; library.py refuses any other.
PADDOCK_EXPORT int paddock_abi() { return 2; }

// The name of an instruction set of matrix.h, null if this CPU lacks it.
PADDOCK_EXPORT const char* paddock_set(int set) {
    const paddock::Products* products = paddock::products(set);
    return products && paddock::rows(set) ? products->name : nullptr;
}

// What runs `model`, whose struct and layers are copied, whose arrays must outlive it. Null if the
// set is missing or memory is short.
PADDOCK_EXPORT void* paddock_open(const paddock::Model* model, int threads, int set) {
    const paddock::Products* products = paddock::products(set);
    const paddock::Rows* rows = paddock::rows(set);
    if (!products || !rows) return nullptr;
    try {
        return new paddock::Forward(*model, *products, *rows, threads);
    } catch (...) {
        return nullptr;
    }
}

// Computes a step and fills the cache; see forward.h. 0, or 1 if memory ran out, which leaves the
// cache of the step's own requests undefined.
PADDOCK_EXPORT int paddock_step(
    void* forward, const paddock::Request* requests, int n, const paddock::Results* results) {
    try {
        static_cast<paddock::Forward*>(forward)->step(requests, n, *results);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

// One choice from `logits` (n), as a step makes it for `position`; for tests against other samplers.
PADDOCK_EXPORT int paddock_choose(
    const paddock::Sampling* sampling, const float* logits, int n, int64_t position,
    int32_t* token, double* logprob, int32_t* top_ids, double* top_logprobs) {
    const paddock::Rows& rows = *paddock::rows(paddock::base);
    paddock::Sampler sampler(n, rows.powers);
    return sampler.choose(
        *sampling, logits, rows.largest(logits, n), position, token, logprob, top_ids, top_logprobs);
}

PADDOCK_EXPORT void paddock_close(void* forward) { delete static_cast<paddock::Forward*>(forward); }
