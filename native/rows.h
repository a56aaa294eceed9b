// What a layer computes beside its products: norms, SwiGLU, rotation, the cache, attention; written
// once in vectors and included by rows.cpp once per instruction set, in namespace PADDOCK_SET.
//
// Every number is made in one fixed order, whatever rows are computed beside it: a position's
// results are bit for bit the same alone, in a batch and in any chunk of a prompt. Keys, values and
// scales are read only of runs that hold a position which is seen.

namespace paddock {
namespace PADDOCK_SET {

#include "vectors.h"

static void norm(const float* x, const float* weight, float eps, size_t n, float* out) {
    vec squares = {};
    size_t i = 0;
    for (; i + W <= n; i += W) squares += load(x + i) * load(x + i);
    if (i < n) {
        const vec rest = load_part(x + i, n - i);
        squares += rest * rest;
    }
    const float scale = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + eps);
    for (i = 0; i + W <= n; i += W) store(out + i, load(x + i) * scale * load(weight + i));
    for (; i < n; i++) out[i] = x[i] * scale * weight[i];
}

// gate = silu(gate) * up
static void swiglu(float* gate, const float* up, size_t n) {
    for (size_t i = 0; i < n; i += W) {
        const size_t left = n - i;
        const vec g = left < W ? load_part(gate + i, left) : load(gate + i);
        const vec u = left < W ? load_part(up + i, left) : load(up + i);
        const vec out = g / (1.0f + exponential(-g)) * u;
        if (left >= W) {
            store(gate + i, out);
        } else {
            for (size_t j = 0; j < left; j++) gate[i + j] = out[j];
        }
    }
}

// The largest of n floats; NaN if one of them is NaN.
static float largest(const float* x, size_t n) {
    vec most = all(-INFINITY), bad = {};
    size_t i = 0;
    for (; i + W <= n; i += W) {
        const vec v = load(x + i);
        most = larger(v, most);
        bad += v == v ? vec{} : v;
    }
    float result = highest(most), rest = sum(bad);
    for (; i < n; i++) {
        result = x[i] > result ? x[i] : result;
        rest += x[i] == x[i] ? 0 : x[i];
    }
    return rest == rest ? result : rest;
}

// out[i] = e^(x[i] / temperature - top), the division in fp32, the rest in doubles; no x[i] /
// temperature is above top.
static void powers(const float* x, float temperature, double top, size_t n, double* out) {
    constexpr size_t H = W / 2;
    for (size_t i = 0; i < n; i += H) {
        float part[H] = {};
        const size_t count = n - i < H ? n - i : H;
        if (count < H) std::memcpy(part, x + i, count * sizeof(float));
        const hvec from = *reinterpret_cast<const hloose*>(count < H ? part : x + i);
        const dvec made = exponential(__builtin_convertvector(from / temperature, dvec) - top);
        if (count < H) {
            for (size_t j = 0; j < count; j++) out[i + j] = made[j];
        } else {
            *reinterpret_cast<dloose*>(out + i) = made;
        }
    }
}

// Rotary embedding (arXiv 2104.09864), the halves of the head being the two coordinates.
static void rotate(float* x, const float* cos, const float* sin, size_t head_dim, float scale) {
    const size_t half = head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        const float a = x[i], b = x[i + half];
        x[i] = (a * cos[i] - b * sin[i]) * scale;
        x[i + half] = (b * cos[i] + a * sin[i]) * scale;
    }
}

static void halves(const float* x, size_t n, Half* out) {
    size_t i = 0;
#if defined(__x86_64__) && PADDOCK_F16C
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#elif defined(__aarch64__)
    for (; i + 4 <= n; i += 4)
        vst1_u16(&out[i].bits, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
#endif
    for (; i < n; i++) out[i] = to_half(x[i]);
}

// The scale, NaN if one of the numbers is not finite: such a position poisons what sees it.
static float bytes(const float* x, size_t n, int8_t* out) {
    float most = 0;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        const float magnitude = __builtin_fabsf(x[i]);
        most = magnitude > most ? magnitude : most;
        finite &= magnitude <= FLT_MAX;
    }
    const float inverse = finite && most > 1e-36f ? 127 / most : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = finite ? static_cast<int8_t>(__builtin_rintf(x[i] * inverse)) : 0;
    return finite ? (inverse == 0 ? 0 : most / 127) : NAN;
}

template <class T>
PADDOCK_INLINE void spread(const T* x, size_t n, T* run_of_keys, size_t offset) {
    for (size_t i = 0; i < n; i++) run_of_keys[i * run + offset] = x[i];
}

// Puts one position's key and value of one head into the cache, at `offset` of a page.
static void put(
    const Cache& c, int layer, int32_t page, int head, size_t offset, const float* key,
    const float* value) {
    const size_t n = c.head_dim, first = offset / run * run, at = offset - first;
    char *keys = c.at(layer, page, head, 0, first), *values = c.at(layer, page, head, 1, first);
    if (c.format == CacheF32) {
        spread(key, n, reinterpret_cast<float*>(keys), at);
        std::memcpy(reinterpret_cast<float*>(values) + at * n, value, n * 4);
    } else if (c.format == CacheF16) {
        Half made[max_head_dim];
        halves(key, n, made);
        spread(made, n, reinterpret_cast<Half*>(keys), at);
        halves(value, n, reinterpret_cast<Half*>(values) + at * n);
    } else {
        int8_t made[max_head_dim];
        *c.scale(layer, page, head, 0, offset) = bytes(key, n, made);
        spread(made, n, reinterpret_cast<int8_t*>(keys), at);
        *c.scale(layer, page, head, 1, offset) =
            bytes(value, n, reinterpret_cast<int8_t*>(values) + at * n);
    }
}

// Registers: 16 sums of AVX-512 and NEON beside keys and a query, else 8. Queries go by fours, then by
// twos. A single one takes one run at a time: memory is the limit, and one stream of reads is faster
// than several side by side.
#if PADDOCK_WIDTH == 16
constexpr int many = 4, runs_of_many = 4, wide = 4;
#elif PADDOCK_REGISTERS == 32
constexpr int many = 4, runs_of_many = 1, wide = 4;
#elif PADDOCK_WIDTH == 8
constexpr int many = 4, runs_of_many = 1, wide = 2;
#else
constexpr int many = 2, runs_of_many = 1, wide = 4;
#endif
constexpr int per_run = run / W, runs_of_two = W > 4 ? 2 : 1, wide_of_two = many > 2 ? 2 * wide : wide;

// scores[m][p] = q[m] . k[p] for M queries and R runs of keys, summed in the order of the elements.
template <class T, int M, int R>
PADDOCK_INLINE void score(
    const float* const* q, const void* const* keys, size_t n, float* scores) {
    vec total[M][R * per_run];
#pragma GCC unroll 4
    for (int m = 0; m < M; m++)
#pragma GCC unroll 16
        for (int v = 0; v < R * per_run; v++) total[m][v] = vec{};
    for (size_t d = 0; d < n; d++) {
        vec key[R * per_run];
#pragma GCC unroll 16
        for (int v = 0; v < R * per_run; v++)
            key[v] = load(static_cast<const T*>(keys[v / per_run]) + d * run + v % per_run * W);
#pragma GCC unroll 4
        for (int m = 0; m < M; m++) {
            const float element = q[m][d];
#pragma GCC unroll 16
            for (int v = 0; v < R * per_run; v++) total[m][v] += key[v] * element;
        }
    }
#pragma GCC unroll 4
    for (int m = 0; m < M; m++)
#pragma GCC unroll 16
        for (int v = 0; v < R * per_run; v++) store(scores + m * attention_block + v * W, total[m][v]);
}

template <class T, int M, int R>
PADDOCK_INLINE void scores_of(
    const float* const* q, const void* const* keys, int runs, size_t n, float* scores) {
    int r = 0;
    for (; r + R <= runs; r += R) score<T, M, R>(q, keys + r, n, scores + r * run);
    if (R > 1)
        for (; r < runs; r++) score<T, M, 1>(q, keys + r, n, scores + r * run);
}

// out[m][D vectors from d] = sum over positions of weight[m][p] * v[p][...], in their order.
template <class T, int M, int D>
PADDOCK_INLINE void gather(
    const float* weight, const void* const* values, int positions, size_t n, size_t d, float* out,
    size_t stride) {
    vec total[M][D];
#pragma GCC unroll 4
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int i = 0; i < D; i++) total[m][i] = vec{};
    for (int first = 0; first < positions; first += run) {
        const T* v = static_cast<const T*>(values[first / run]) + d;
        const int count = positions - first < run ? positions - first : run;
        for (int p = 0; p < count; p++, v += n) {
            vec value[D];
#pragma GCC unroll 8
            for (int i = 0; i < D; i++) value[i] = load(v + i * W);
#pragma GCC unroll 4
            for (int m = 0; m < M; m++) {
                const float share = weight[m * attention_block + first + p];
#pragma GCC unroll 8
                for (int i = 0; i < D; i++) total[m][i] += value[i] * share;
            }
        }
    }
#pragma GCC unroll 4
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int i = 0; i < D; i++) store(out + m * stride + d + i * W, total[m][i]);
}

// All vectors from element d on, D at a time while there are so many, then the elements after the last.
template <class T, int M, int D>
PADDOCK_INLINE void gather_all(
    const float* weight, const void* const* values, int positions, size_t n, float* out,
    size_t stride, size_t d = 0) {
    for (; d + D * W <= n; d += D * W)
        gather<T, M, D>(weight, values, positions, n, d, out, stride);
    if constexpr (D > 1) {
        gather_all<T, M, D / 2>(weight, values, positions, n, out, stride, d);
    } else {
        for (; d < n; d++) {
            for (int m = 0; m < M; m++) {
                float total = 0;
                for (int p = 0; p < positions; p++) {
                    const T* v = static_cast<const T*>(values[p / run]) + p % run * n;
                    total += single(v[d]) * weight[m * attention_block + p];
                }
                out[m * stride + d] = total;
            }
        }
    }
}

// Scores to weights e^(score - top), zero from `count` to the end of the block's positions.
PADDOCK_INLINE void weigh(float* s, int count, int end, float* top, float* total) {
    int p = count;
    for (; p % W; p++) s[p] = -INFINITY;  // attention_block is a multiple of every W
    vec most = all(-INFINITY);
    for (int i = 0; i < p; i += W) most = larger(load(s + i), most);
    *top = highest(most);
    for (int i = 0; i < p; i += W) store(s + i, exponential(load(s + i) - *top));
    for (int i = count; i < end || i % W; i++) s[i] = 0;
    vec part = {};
    for (int i = 0; i < p; i += W) part += load(s + i);
    *total = sum(part);
}

PADDOCK_INLINE void times(float* s, const float* const* scales, int positions) {
    for (int first = 0; first < positions; first += run) {
        const int count = positions - first < run ? positions - first : run;
        for (int p = 0; p < count; p++) s[first + p] *= scales[first / run][p];
    }
}

template <class T>
static void attend_as(const Attention& a, Partial* out) {
    const size_t n = a.head_dim;
    alignas(64) float scores[max_queries * attention_block];
    int end = 0;  // positions that any query sees
    for (int q = 0; q < a.queries; q++) end = a.count[q] > end ? a.count[q] : end;
    const int runs = (end + run - 1) / run;
    int q = 0;
    for (; q + many <= a.queries; q += many)
        scores_of<T, many, runs_of_many>(a.query + q, a.keys, runs, n, scores + q * attention_block);
    for (; q + 2 <= a.queries; q += 2)
        scores_of<T, 2, runs_of_two>(a.query + q, a.keys, runs, n, scores + q * attention_block);
    for (; q < a.queries; q++)
        scores_of<T, 1, 1>(a.query + q, a.keys, runs, n, scores + q * attention_block);
    for (q = 0; q < a.queries; q++) {
        float* s = scores + q * attention_block;
        if (a.key_scales) times(s, a.key_scales, a.count[q]);
        if (a.count[q] > 0) {
            weigh(s, a.count[q], end, &out->top[q], &out->total[q]);
        } else {
            for (int p = 0; p < end; p++) s[p] = 0;
        }
        if (a.value_scales) times(s, a.value_scales, a.count[q]);
    }
    for (q = 0; q + many <= a.queries; q += many)
        gather_all<T, many, wide>(
            scores + q * attention_block, a.values, end, n, out->sum + q * n, n);
    for (; q + 2 <= a.queries; q += 2)
        gather_all<T, 2, wide_of_two>(
            scores + q * attention_block, a.values, end, n, out->sum + q * n, n);
    for (; q < a.queries; q++)
        gather_all<T, 1, 2 * wide>(
            scores + q * attention_block, a.values, end, n, out->sum + q * n, n);
}

static void attend(const Attention& a, Partial* out) {
    if (a.format == CacheF32) {
        attend_as<float>(a, out);
    } else if (a.format == CacheF16) {
        attend_as<Half>(a, out);
    } else {
        attend_as<int8_t>(a, out);
    }
}

// Takes a later block's share into a query's softmax, whichever has the larger top being the
// measure (arXiv 2205.14135).
static void merge(float* top, float* total, float* sum, float new_top, float new_total,
                  const float* new_sum, size_t n) {
    float old_share = 1, new_share = 1;
    if (new_top > *top) {
        old_share = exponential(all(*top - new_top))[0];
        *top = new_top;
    } else {
        new_share = exponential(all(new_top - *top))[0];
    }
    *total = *total * old_share + new_total * new_share;
    for (size_t i = 0; i < n; i++) sum[i] = sum[i] * old_share + new_sum[i] * new_share;
}

static const Rows rows = {norm, swiglu, largest, powers, rotate, put, attend, merge};

#undef PADDOCK_INLINE

}  // namespace PADDOCK_SET
}  // namespace paddock
