// One decode step of a Llama in one call: one new token for each of a few requests, fp32 on CPUs.
//
// A step of a small model through a tensor library is mostly the cost of its hundreds of operations;
// here it is the time to read the weights once. C interface, no dependency beyond the C++ library.
// All memory belongs to the caller, who checks every number before it gets here.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "pool.h"

namespace paddock {

constexpr int attention_block = 128;  // positions whose scores are held at a time
constexpr int attention_heads = 4;    // query heads in one chunk
constexpr int max_rows = 32;          // requests that share one reading of the weights
constexpr int max_outputs = 64;       // outputs of a product in one chunk
constexpr int max_head_dim = 512;

struct Attention {
    const float *query, *keys;  // keys: of position 0 of page 0, at the key head wanted
    float* out;
    const int32_t* pages;
    int64_t value_offset, page_stride, position_stride, page_size, length;
    int heads, head_dim;
};

struct Kernels {
    void (*products)(
        const float*, size_t, int, const float*, size_t, int, float*, size_t);
    void (*norm)(const float*, const float*, float, size_t, float*);
    void (*swiglu)(float*, const float*, size_t);
    void (*attend)(const Attention&);
};

}  // namespace paddock

// clang-format off
#if defined(__clang__)
#define PADDOCK_PRAGMA(text) _Pragma(#text)
#define PADDOCK_TARGET(set) \
    PADDOCK_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define PADDOCK_TARGET_END _Pragma("clang attribute pop")
#else
#define PADDOCK_PRAGMA(text) _Pragma(#text)
#define PADDOCK_TARGET(set) _Pragma("GCC push_options") PADDOCK_PRAGMA(GCC target(set))
#define PADDOCK_TARGET_END _Pragma("GCC pop_options")
#endif
// clang-format on

// What every CPU of the architecture has: SSE2 or NEON. The sanitizer build widens it to run the
// code of wider sets on any CPU.
#ifndef PADDOCK_BASE_WIDTH
#define PADDOCK_BASE_WIDTH 4
#endif
#define PADDOCK_SET base
#define PADDOCK_WIDTH PADDOCK_BASE_WIDTH
#if defined(__aarch64__)
#define PADDOCK_REGISTERS 32
#else
#define PADDOCK_REGISTERS 16
#endif
#include "kernels.h"
#undef PADDOCK_SET
#undef PADDOCK_WIDTH
#undef PADDOCK_REGISTERS

#if defined(__x86_64__)
PADDOCK_TARGET("avx2,fma")
#define PADDOCK_SET avx2
#define PADDOCK_WIDTH 8
#define PADDOCK_REGISTERS 16
#include "kernels.h"
#undef PADDOCK_SET
#undef PADDOCK_WIDTH
#undef PADDOCK_REGISTERS
PADDOCK_TARGET_END

PADDOCK_TARGET("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
#define PADDOCK_SET avx512
#define PADDOCK_WIDTH 16
#define PADDOCK_REGISTERS 32
#include "kernels.h"
#undef PADDOCK_SET
#undef PADDOCK_WIDTH
#undef PADDOCK_REGISTERS
PADDOCK_TARGET_END
#endif

namespace paddock {

// As declared in native.py, field by field. Matrices are (outputs, inputs), row by row without gaps.
struct Layer {
    const float *attention_norm, *wqkv, *wo, *ffn_norm, *w13, *w2;
    float* cache;  // keys of page 0, position 0, head 0
};

struct Model {
    const float *embeddings, *norm, *output, *cos, *sin;  // tables: (positions, head_dim)
    const Layer* layers;
    // Cache, in floats: from page to page, position to position, head to head; the heads of the
    // values follow those of the keys.
    int64_t page_stride, position_stride, head_stride, page_size;
    int32_t n_layers, dim, n_heads, n_kv_heads, head_dim, hidden_dim, vocab_size, max_pages;
    float norm_eps;
};

// Instruction sets by number, 0 being the best there is; nullptr if this CPU lacks it.
static const Kernels* choose(int set) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    const bool middle = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (set == 3 || (set == 0 && wide)) return wide ? &avx512::kernels : nullptr;
    if (set == 2 || (set == 0 && middle)) return middle ? &avx2::kernels : nullptr;
#endif
    return set == 0 || set == 1 ? &base::kernels : nullptr;
}

struct Free {
    void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float, Free>;

static size_t padded(size_t n) { return (n + 15) / 16 * 16; }

static Buffer buffer(size_t n) {
    void* p = std::aligned_alloc(64, padded(n) * sizeof(float));
    if (!p) throw std::bad_alloc();
    return Buffer(static_cast<float*>(p));
}

class Decoder {
  public:
    Decoder(const Model& model, const Kernels& kernels, int threads)
        : m_(model), k_(kernels), pool_(new Pool(threads)) {
        query_dim_ = static_cast<size_t>(m_.n_heads) * m_.head_dim;
        x_stride_ = padded(m_.dim);
        query_stride_ = padded(query_dim_);
        hidden_stride_ = padded(m_.hidden_dim);
        x_ = buffer(max_rows * x_stride_);
        normed_ = buffer(max_rows * x_stride_);
        query_ = buffer(max_rows * query_stride_);
        attended_ = buffer(max_rows * query_stride_);
        hidden_ = buffer(max_rows * hidden_stride_);
        const int group = m_.n_heads / m_.n_kv_heads;
        parts_ = (group + attention_heads - 1) / attention_heads;
    }

    ~Decoder() {
        if (!pool_->owned()) (void)pool_.release();  // see Pool::owned
    }

    void step(
        int rows, const int32_t* tokens, const int32_t* positions, const int32_t* pages,
        float* logits) {
        forked_ = !pool_->owned();
        for (int first = 0; first < rows; first += max_rows) {
            rows_ = std::min(rows - first, max_rows);
            positions_ = positions + first;
            pages_ = pages + static_cast<size_t>(first) * m_.max_pages;
            logits_ = logits + static_cast<size_t>(first) * m_.vocab_size;
            run(tokens + first);
        }
    }

  private:
    void run(const int32_t* tokens) {
        for (int b = 0; b < rows_; b++)
            std::memcpy(x(b), m_.embeddings + static_cast<size_t>(tokens[b]) * m_.dim,
                        sizeof(float) * m_.dim);
        const size_t dim = m_.dim, hidden = m_.hidden_dim;
        const size_t heads = m_.n_heads + 2 * static_cast<size_t>(m_.n_kv_heads);
        size_t seen = 0;
        for (int b = 0; b < rows_; b++) seen += positions_[b] + 1;
        for (int i = 0; i < m_.n_layers; i++) {
            layer_ = &m_.layers[i];
            norm(layer_->attention_norm);
            share<&Decoder::qkv>(static_cast<int>(heads), heads * m_.head_dim * dim);
            share<&Decoder::attend>(rows_ * m_.n_kv_heads * parts_, 2 * seen * query_dim_);
            add(layer_->wo, query_dim_, attended_.get(), query_stride_);
            norm(layer_->ffn_norm);
            chunk_ = outputs_per_chunk(2 * dim, hidden);
            share<&Decoder::gate>(chunks(hidden), 2 * hidden * dim);
            add(layer_->w2, hidden, hidden_.get(), hidden_stride_);
        }
        norm(m_.norm);
        chunk_ = max_outputs;
        share<&Decoder::head>(chunks(m_.vocab_size), static_cast<size_t>(m_.vocab_size) * dim);
    }

    // Chunks of about 16 KB of weights, a microsecond or more each; whole cache lines of outputs.
    static int outputs_per_chunk(size_t inputs, size_t outputs) {
        int n = 16;
        while (n < max_outputs && n * inputs < 4096 * 4 && outputs / n > 16) n *= 2;
        return n;
    }

    int chunks(size_t outputs) const { return static_cast<int>((outputs + chunk_ - 1) / chunk_); }

    template <void (Decoder::*Part)(int) const>
    static void call(const void* self, int chunk) {
        (static_cast<const Decoder*>(self)->*Part)(chunk);
    }

    // `work` in multiplications per row: too few are not worth telling the other threads.
    template <void (Decoder::*Part)(int) const>
    void share(int n, size_t work) {
        if (forked_ || n == 1 || work * rows_ < 16384 || pool_->threads() == 1 ||
            n > Pool::max_chunks) {
            for (int chunk = 0; chunk < n; chunk++) (this->*Part)(chunk);
        } else {
            pool_->run(call<Part>, this, n);
        }
    }

    void norm(const float* weight) {
        for (int b = 0; b < rows_; b++)
            k_.norm(x(b), weight, m_.norm_eps, m_.dim, normed_.get() + b * x_stride_);
    }

    // One head of wq, wk or wv: rotated where it must be; queries scaled, keys and values stored.
    void qkv(int head) const {
        const int n = m_.head_dim;
        alignas(64) float made[max_rows * max_head_dim];
        k_.products(layer_->wqkv + static_cast<size_t>(head) * n * m_.dim, m_.dim, n, normed_.get(),
                    x_stride_, rows_, made, n);
        const float scale = 1.0f / std::sqrt(static_cast<float>(n));
        for (int b = 0; b < rows_; b++) {
            const float* from = made + b * n;
            if (head >= m_.n_heads + m_.n_kv_heads) {
                std::memcpy(place(b, head - m_.n_heads), from, sizeof(float) * n);
            } else if (head >= m_.n_heads) {
                rotate(from, b, 1.0f, place(b, head - m_.n_heads));
            } else {
                rotate(from, b, scale, query_.get() + b * query_stride_ + head * n);
            }
        }
    }

    // Rotary embedding (arXiv 2104.09864), the halves of the head being the two coordinates; `sin`
    // carries the minus sign of the first half.
    void rotate(const float* from, int b, float scale, float* to) const {
        const int n = m_.head_dim, half = n / 2;
        const float* cos = m_.cos + static_cast<size_t>(positions_[b]) * n;
        const float* sin = m_.sin + static_cast<size_t>(positions_[b]) * n;
        for (int i = 0; i < half; i++) {
            const float a = from[i], c = from[i + half];
            to[i] = (a * cos[i] + c * sin[i]) * scale;
            to[i + half] = (c * cos[i + half] + a * sin[i + half]) * scale;
        }
    }

    float* place(int b, int head) const {
        const int64_t position = positions_[b];
        const int64_t page = pages_[static_cast<size_t>(b) * m_.max_pages + position / m_.page_size];
        return layer_->cache + page * m_.page_stride +
               position % m_.page_size * m_.position_stride + head * m_.head_stride;
    }

    // A few query heads of one request that share a key/value head.
    void attend(int chunk) const {
        const int part = chunk % parts_, kv = chunk / parts_ % m_.n_kv_heads;
        const int b = chunk / parts_ / m_.n_kv_heads;
        const int group = m_.n_heads / m_.n_kv_heads, first = part * attention_heads;
        const size_t at = b * query_stride_ +
                          (static_cast<size_t>(kv) * group + first) * m_.head_dim;
        Attention a;
        a.query = query_.get() + at;
        a.out = attended_.get() + at;
        a.keys = layer_->cache + kv * m_.head_stride;
        a.value_offset = m_.n_kv_heads * m_.head_stride;
        a.pages = pages_ + static_cast<size_t>(b) * m_.max_pages;
        a.page_stride = m_.page_stride;
        a.position_stride = m_.position_stride;
        a.page_size = m_.page_size;
        a.length = positions_[b] + 1;
        a.heads = std::min(group - first, attention_heads);
        a.head_dim = m_.head_dim;
        k_.attend(a);
    }

    // x += w * input
    void add(const float* w, size_t inputs, const float* input, size_t stride) {
        chunk_ = outputs_per_chunk(inputs, m_.dim);
        add_ = {w, input, inputs, stride};
        share<&Decoder::add_part>(chunks(m_.dim), m_.dim * inputs);
    }

    void add_part(int chunk) const {
        const size_t first = static_cast<size_t>(chunk) * chunk_;
        const int n = static_cast<int>(std::min<size_t>(chunk_, m_.dim - first));
        alignas(64) float made[max_rows * max_outputs];
        k_.products(add_.w + first * add_.inputs, add_.inputs, n, add_.input, add_.stride, rows_,
                    made, max_outputs);
        for (int b = 0; b < rows_; b++)
            for (int i = 0; i < n; i++) x(b)[first + i] += made[b * max_outputs + i];
    }

    // hidden = silu(w1 x) * w3 x
    void gate(int chunk) const {
        const size_t first = static_cast<size_t>(chunk) * chunk_, dim = m_.dim;
        const int n = static_cast<int>(std::min<size_t>(chunk_, m_.hidden_dim - first));
        float* out = hidden_.get() + first;
        alignas(64) float up[max_rows * max_outputs];
        k_.products(layer_->w13 + first * dim, dim, n, normed_.get(), x_stride_, rows_, out,
                    hidden_stride_);
        k_.products(layer_->w13 + (m_.hidden_dim + first) * dim, dim, n, normed_.get(), x_stride_,
                    rows_, up, max_outputs);
        for (int b = 0; b < rows_; b++)
            k_.swiglu(out + b * hidden_stride_, up + b * max_outputs, n);
    }

    void head(int chunk) const {
        const size_t first = static_cast<size_t>(chunk) * chunk_;
        const int n = static_cast<int>(std::min<size_t>(chunk_, m_.vocab_size - first));
        k_.products(m_.output + first * m_.dim, m_.dim, n, normed_.get(), x_stride_, rows_,
                    logits_ + first, m_.vocab_size);
    }

    float* x(int b) const { return x_.get() + b * x_stride_; }

    const Model m_;
    const Kernels& k_;
    std::unique_ptr<Pool> pool_;
    size_t query_dim_, x_stride_, query_stride_, hidden_stride_;
    Buffer x_, normed_, query_, attended_, hidden_;
    int parts_;  // chunks that share one key/value head
    // The step under way.
    bool forked_ = false;
    int rows_ = 0, chunk_ = 0;
    const int32_t *positions_ = nullptr, *pages_ = nullptr;
    float* logits_ = nullptr;
    const Layer* layer_ = nullptr;
    struct {
        const float *w, *input;
        size_t inputs, stride;
    } add_ = {};
};

}  // namespace paddock

#define PADDOCK_EXPORT extern "C" __attribute__((visibility("default")))

// Goes up with every change of a struct or a signature; native.py refuses any other.
PADDOCK_EXPORT int paddock_abi() { return 1; }

// A decoder for `model`, whose struct is copied, whose arrays must outlive it. `set` chooses the
// instruction set: 0 best, 1 base, 2 AVX2, 3 AVX-512. Null if that is missing or memory is short.
PADDOCK_EXPORT void* paddock_open(const paddock::Model* model, int threads, int set) {
    const paddock::Kernels* kernels = paddock::choose(set);
    if (!kernels || model->head_dim > paddock::max_head_dim) return nullptr;
    try {
        return new paddock::Decoder(*model, *kernels, threads);
    } catch (...) {
        return nullptr;
    }
}

// tokens, positions: (rows); pages: (rows, max_pages), as many as each row's position needs.
// Writes keys and values at the positions, logits (rows, vocab_size).
PADDOCK_EXPORT void paddock_decode(
    void* decoder, int rows, const int32_t* tokens, const int32_t* positions, const int32_t* pages,
    float* logits) {
    static_cast<paddock::Decoder*>(decoder)->step(rows, tokens, positions, pages, logits);
}

PADDOCK_EXPORT void paddock_close(void* decoder) { delete static_cast<paddock::Decoder*>(decoder); }
