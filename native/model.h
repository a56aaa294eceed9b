// A model, a step and its results as C structs, and the memory that a step works in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "cache.h"
#include "matrix.h"
#include "sampler.h"

namespace paddock {

// As declared in library.py, field by field.
struct Layer {
    const float *attention_norm, *ffn_norm;
    Matrix wq, wk, wv, wo, w1, w3, w2;
};

struct Model {
    Matrix embeddings, output;
    const float *norm, *cos, *sin;  // tables: (positions, head_dim / 2)
    const Layer* layers;
    Cache cache;
    int32_t n_layers, n_heads, hidden_dim;
    int32_t known_ids;  // of the vocabulary's: those that may be chosen
    float norm_eps;

    int dim() const { return embeddings.k; }
    int head_dim() const { return cache.head_dim; }
    int n_kv_heads() const { return cache.n_kv_heads; }
};

struct Request {
    const int32_t *tokens, *pages;
    const Sampling* sampling;
    int32_t n_tokens, start;
    int32_t wanted;  // logits are wanted at that many of the last positions
    int32_t unused;
};

// Where the results of a step go, in the order of the requests and their wanted positions. `logits`
// (wanted, known_ids) may be null; the rest is null if nothing is to be chosen.
struct Results {
    float* logits;
    int32_t* tokens;
    double* logprobs;
    int32_t* top_ids;  // (wanted, top_stride)
    double* top_logprobs;
    int32_t* outcomes;
    int64_t top_stride;
};

struct Free {
    void operator()(void* p) const { std::free(p); }
};

// Floats, aligned to 64 bytes; grows and never shrinks.
class Buffer {
  public:
    float* get() const { return p_.get(); }
    void* raw() const { return p_.get(); }

    void need(size_t floats) {
        if (floats <= size_) return;
        p_.reset();
        size_ = 0;
        void* p = std::aligned_alloc(64, (floats + 15) / 16 * 64);
        if (!p) throw std::bad_alloc();
        p_.reset(static_cast<float*>(p));
        size_ = floats;
    }

    void need_bytes(size_t n) { need((n + 3) / 4); }

  private:
    std::unique_ptr<float, Free> p_;
    size_t size_ = 0;
};

// Some consecutive tokens of a request: rows `row` on.
struct Piece {
    const Request* request;
    int from, count, row;
};

}  // namespace paddock
