// The functions of one instruction set that a layer needs beside its products.
#pragma once

#include "cache.h"

namespace paddock {

constexpr int attention_block = 256;  // positions that are weighed against each other at a time
constexpr int max_queries = 32;       // that share one reading of a block
constexpr int max_head_dim = 512;

// Some queries of one key/value head and one block of positions.
struct Attention {
    const float* const* query;   // head_dim floats each, scaled
    const int32_t* count;        // positions of the block that each query sees; may be 0
    const void* const* keys;     // where each run of 16 positions begins
    const void* const* values;
    const float* const* key_scales;  // of each run; null unless int8
    const float* const* value_scales;
    int32_t format, queries, head_dim;
};

// What a block gives to each query: the largest score, the sum of e^(score - top) and the values
// weighed with it (queries, head_dim). Of a query that sees nothing only `sum` is written.
struct Partial {
    float *top, *total, *sum;
};

struct Rows {
    void (*norm)(const float* x, const float* weight, float eps, size_t n, float* out);
    void (*swiglu)(float* gate, const float* up, size_t n);
    float (*largest)(const float* x, size_t n);
    void (*powers)(const float* x, float temperature, double top, size_t n, double* out);
    void (*rotate)(float* x, const float* cos, const float* sin, size_t head_dim, float scale);
    void (*put)(
        const Cache&, int layer, int32_t page, int head, size_t offset, const float* key,
        const float* value);
    void (*attend)(const Attention&, Partial*);
    void (*merge)(
        float* top, float* total, float* sum, float new_top, float new_total, const float* new_sum,
        size_t n);
};

// For a set of matrix.h; null if this CPU lacks it.
const Rows* rows(int32_t set);

}  // namespace paddock
