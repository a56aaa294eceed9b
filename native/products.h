// Products of matrices, written once in vectors of PADDOCK_WIDTH floats and included by products.cpp
// once per instruction set, in namespace PADDOCK_SET. Hence no include guard.
//
// Every output is summed in one fixed order, whatever the number of rows, blocks or threads.

namespace paddock {
namespace PADDOCK_SET {

#include "lanes.h"

// Rows that one reading of a weight serves: as many as the registers hold.
constexpr int packed_rows = PADDOCK_REGISTERS == 32 ? 8 : 4;
constexpr int plain_rows = PADDOCK_REGISTERS == 32 ? 6 : 3;

// Outputs that a tile of so many plain rows computes.
constexpr int plain_outputs(int rows) { return rows == 1 ? 8 : 4; }

// The weights from `at` on, of a matrix of 32 or 16 bits.
template <int Kind>
PADDOCK_INLINE vec weights(const void* data, size_t at) {
    if (Kind == F32) return load(static_cast<const float*>(data) + at);
    const uint16_t* p = static_cast<const uint16_t*>(data) + at;
    return Kind == F16 ? halves(p) : bfloats(p);
}

// The first n < W of them, then zeros.
template <int Kind>
PADDOCK_INLINE vec weights_part(const void* data, size_t at, size_t n) {
    constexpr size_t size = Kind == F32 ? 4 : 2;
    alignas(64) unsigned char part[W * 4] = {};
    memcpy(part, static_cast<const unsigned char*>(data) + at * size, n * size);
    return weights<Kind>(part, 0);
}

// A quarter of W sums, or less: (first + third) + (second + fourth).
PADDOCK_INLINE vec4 fold(vec v) {
#if PADDOCK_WIDTH == 4
    return v;
#elif defined(__x86_64__) && PADDOCK_WIDTH == 8
    return (vec4)_mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
#elif defined(__x86_64__) && PADDOCK_WIDTH == 16
    const __m256 halves = _mm256_add_ps(
        _mm512_maskz_extractf32x8_ps(0xff, (__m512)v, 0),
        _mm512_maskz_extractf32x8_ps(0xff, (__m512)v, 1));
    return (vec4)_mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
#else
#error "no fold of this width"
#endif
}

#if defined(__clang__)
#define PADDOCK_PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define PADDOCK_PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, ivec4{i, j, k, l})
#endif

// The sums of four vectors.
PADDOCK_INLINE vec4 sums(vec a, vec b, vec c, vec d) {
    const vec4 p = fold(a), q = fold(b), r = fold(c), s = fold(d);
    const vec4 pq = PADDOCK_PICK(p, q, 0, 4, 1, 5) + PADDOCK_PICK(p, q, 2, 6, 3, 7);
    const vec4 rs = PADDOCK_PICK(r, s, 0, 4, 1, 5) + PADDOCK_PICK(r, s, 2, 6, 3, 7);
    return PADDOCK_PICK(pq, rs, 0, 1, 4, 5) + PADDOCK_PICK(pq, rs, 2, 3, 6, 7);
}

#include "dots.h"

// n of the W outputs in v.
PADDOCK_INLINE void put(float* y, vec v, int n, bool add) {
    if (n >= W) {
        store(y, add ? load(y) + v : v);
    } else {
        alignas(64) float all[W];
        store(all, v);
        for (int i = 0; i < n; i++) y[i] = add ? y[i] + all[i] : all[i];
    }
}

// What R sums of a group are multiplied with: the weights' scales times those of the rows.
//
// Most sets multiply. PADDOCK_SPLIT spares the multiplication, which on AMD's Zen 4 costs as much as
// one of the eight integer products: a row's scale is a sum or difference of two powers of two, each
// of which is an addition to the exponents of the weights' scales. Its words are those two, the sign of
// the second being a sign bit. The exponents stay in range: fp16 scales lie in 2^-24 .. 2^16, and
// prepare_group sees to it that the powers lie in 2^-100 .. 2^108.
template <int R>
PADDOCK_INLINE void factors(vec scale, const unsigned char* words, int size, vec out[R]) {
#if PADDOCK_SPLIT
    const int32_t *first = reinterpret_cast<const int32_t*>(words), *second = first + size;
    const __m512i bits = (__m512i)scale;
    const __mmask16 some = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x7fffffff));
    PADDOCK_UNROLL for (int r = 0; r < R; r++)
        out[r] = (vec)_mm512_maskz_add_ps(
            some, (__m512)_mm512_add_epi32(bits, _mm512_set1_epi32(first[r])),
            (__m512)_mm512_add_epi32(bits, _mm512_set1_epi32(second[r])));
#else
    (void)size;
    const float* scales = reinterpret_cast<const float*>(words);
    PADDOCK_UNROLL for (int r = 0; r < R; r++) out[r] = scale * scales[r];
#endif
}

constexpr int32_t poisoned = 0x7fc00000;  // NaN as a float, no exponent as an integer

// P parts of W outputs, from output W * part of the block on, times R rows: rows first .. of a tile of
// `size` rows. `n` outputs of the block are wanted. `many`: the rows do not stay in the first-level
// cache and come from afar like the weights.
template <int P, int R, bool Four>
PADDOCK_INLINE void packed_part(
    const unsigned char* w, int groups, const unsigned char* tile, int size, int first, int part,
    bool many, Target to, int n) {
    constexpr size_t codes = Four ? 256 : 512, step = codes + 32;
    vec total[P][R];
    PADDOCK_UNROLL for (int p = 0; p < P; p++)
        PADDOCK_UNROLL for (int r = 0; r < R; r++) total[p][r] = all(
            four(tile + size * 32 + (first + r) * 4) == poisoned ? __builtin_nanf("") : 0);
    for (int g = 0; g < groups; g++) {
        const unsigned char* group = w + g * step;
        const unsigned char* rows = tile + static_cast<size_t>(g) * size * prepared_group_bytes;
        if (R > 2 && part == 0) {  // fewer rows: see near_bytes
            PADDOCK_UNROLL for (size_t i = 0; i < step; i += 64) {
                __builtin_prefetch(group + i + far_bytes, 0, 2);
                __builtin_prefetch(group + i + near_bytes);
            }
        }
        if (R == row_tile && part == 0 && many) {
            PADDOCK_UNROLL for (size_t i = 0; i < R * prepared_group_bytes; i += 64)
                __builtin_prefetch(rows + i + row_bytes);
        }
        PADDOCK_UNROLL for (int p = 0; p < P; p++) {
            ivec whole[R];
            dots<R, Four>(
                group + (part + p) * W * 4, reinterpret_cast<const signed char*>(rows) + first * 32,
                reinterpret_cast<const int32_t*>(rows + size * 40) + first, whole);
            vec factor[R];
            factors<R>(
                halves(group + codes + (part + p) * W * 2), rows + size * 32 + first * 4, size,
                factor);
            PADDOCK_UNROLL for (int r = 0; r < R; r++)
                total[p][r] = fused(floats(whole[r]), factor[r], total[p][r]);
        }
    }
    PADDOCK_UNROLL for (int p = 0; p < P; p++)
        PADDOCK_UNROLL for (int r = 0; r < R; r++)
            put(to.y + r * to.stride + (part + p) * W, total[p][r], n - (part + p) * W, to.add);
}

template <int R, bool Four>
static __attribute__((noinline)) void packed_block(
    const unsigned char* w, int groups, const unsigned char* tile, int size, int first, bool many,
    Target to, int n) {
    if (R == 1) {  // memory is the limit: read the block once, from first byte to last
        packed_part<block_outputs / W, R, Four>(w, groups, tile, size, first, 0, many, to, n);
    } else {
        for (int part = 0; part * W < n; part++)
            packed_part<1, R, Four>(w, groups, tile, size, first, part, many, to, n);
    }
}

template <int R, bool Four>
PADDOCK_INLINE void packed_rest(
    int rows, const unsigned char* w, int groups, const unsigned char* tile, int size, int first,
    bool many, Target to, int n) {
    if constexpr (R > 0) {
        if (rows == R) {
            packed_block<R, Four>(w, groups, tile, size, first, many, to, n);
        } else {
            packed_rest<R - 1, Four>(rows, w, groups, tile, size, first, many, to, n);
        }
    }
}

// One block times the first `rows` rows of a tile of `size` rows.
template <bool Four>
static void packed_tile(
    const unsigned char* w, int groups, const unsigned char* tile, int size, int rows, bool many,
    Target to, int n) {
    int first = 0;
    for (; first + packed_rows <= rows; first += packed_rows)
        packed_block<packed_rows, Four>(
            w, groups, tile, size, first, many, {to.y + first * to.stride, to.stride, to.add}, n);
    packed_rest<packed_rows - 1, Four>(
        rows - first, w, groups, tile, size, first, many,
        {to.y + first * to.stride, to.stride, to.add}, n);
}

// R outputs times N rows of fp32.
template <int Kind, int R, int N>
PADDOCK_INLINE void plain_part(
    const void* data, size_t at, size_t k, const float* x, size_t x_stride, Target to) {
    constexpr int sums_made = (N * R + 3) / 4 * 4;
    vec total[sums_made] = {};  // output i % R of row i / R
    constexpr size_t size = Kind == F32 ? 4 : 2, line = 64 / size, far = 256 / size;
    const char* base = static_cast<const char*>(data) + at * size;
    // Ask for the next R rows of weights in the order of their addresses, as long as they find room in
    // the first-level cache. Rows that are longer: a little ahead in each, if there is one row of x.
    const bool linear = R * k * size <= 8192;
    size_t i = 0;
    for (; i + W <= k; i += W) {
        if (linear) {
            const char* next = base + (R * k + R * i) * size;
            PADDOCK_UNROLL for (size_t j = 0; j < R * W * size; j += 64) __builtin_prefetch(next + j);
        } else if (N == 1 && i % line == 0) {
            const char* next = base + (i + far < k ? i + far : R * k + i + far - k) * size;
            PADDOCK_UNROLL for (int r = 0; r < R; r++) __builtin_prefetch(next + r * k * size);
        }
        vec input[N];
        PADDOCK_UNROLL for (int b = 0; b < N; b++) input[b] = load(x + b * x_stride + i);
        PADDOCK_UNROLL for (int r = 0; r < R; r++) {
            const vec weight = weights<Kind>(data, at + r * k + i);
            PADDOCK_UNROLL for (int b = 0; b < N; b++)
                total[b * R + r] = fused(weight, input[b], total[b * R + r]);
        }
    }
    if (i < k) {
        vec weight[R];
        PADDOCK_UNROLL for (int r = 0; r < R; r++)
            weight[r] = weights_part<Kind>(data, at + r * k + i, k - i);
        PADDOCK_UNROLL for (int b = 0; b < N; b++) {
            const vec input = weights_part<F32>(x + b * x_stride + i, 0, k - i);
            PADDOCK_UNROLL for (int r = 0; r < R; r++)
                total[b * R + r] = fused(weight[r], input, total[b * R + r]);
        }
    }
    PADDOCK_UNROLL for (int j = 0; j < sums_made; j += 4) {
        const vec4 made = sums(total[j], total[j + 1], total[j + 2], total[j + 3]);
        if (R % 4 == 0) {
            loose4* y = reinterpret_cast<loose4*>(to.y + j / R * to.stride + j % R);
            *y = to.add ? *y + made : made;
        } else {
            for (int s = 0; s < 4 && j + s < N * R; s++) {
                float* y = to.y + (j + s) / R * to.stride + (j + s) % R;
                *y = to.add ? *y + made[s] : made[s];
            }
        }
    }
}

// n <= 16 outputs times N rows.
template <int Kind, int N>
static __attribute__((noinline)) void plain_block(
    const void* data, size_t at, size_t k, const float* x, size_t x_stride, Target to, int n) {
    constexpr int R = plain_outputs(N);
    int o = 0;
    for (; o + R <= n; o += R)
        plain_part<Kind, R, N>(data, at + o * k, k, x, x_stride, {to.y + o, to.stride, to.add});
    for (; o < n; o++)
        plain_part<Kind, 1, N>(data, at + o * k, k, x, x_stride, {to.y + o, to.stride, to.add});
}

// n <= 16 outputs times at most N rows.
template <int Kind, int N>
PADDOCK_INLINE void plain_tile(
    const void* data, size_t at, size_t k, const float* x, size_t x_stride, int rows, Target to,
    int n) {
    if constexpr (N > 0) {
        if (rows == N) {
            plain_block<Kind, N>(data, at, k, x, x_stride, to, n);
        } else {
            plain_tile<Kind, N - 1>(data, at, k, x, x_stride, rows, to, n);
        }
    }
}

// One block times a few rows, whatever the format.
static void tile(
    const Matrix& w, int block, const Activations& a, int row, int rows, Target to) {
    const int first = block * block_outputs;
    const int n = w.n - first < block_outputs ? w.n - first : block_outputs;
    if (packed(w)) {
        const unsigned char* data = static_cast<const unsigned char*>(w.data) +
                                    static_cast<size_t>(block) * block_bytes(w);
        const bool many = a.rows > row_tile;
        const int groups = w.k / group_inputs;
        const int size = a.rows - row < row_tile ? a.rows - row : row_tile;
        const unsigned char* at = static_cast<const unsigned char*>(a.prepared) +
                                  static_cast<size_t>(row) * groups * prepared_group_bytes;
        if (w.format == Q4) packed_tile<true>(data, groups, at, size, rows, many, to, n);
        if (w.format == Q8) packed_tile<false>(data, groups, at, size, rows, many, to, n);
        return;
    }
    const size_t k = w.k, at = first * k;
    const float* x = a.x + row * a.stride;
    if (w.format == F32) plain_tile<F32, plain_rows>(w.data, at, k, x, a.stride, rows, to, n);
    if (w.format == BF16) plain_tile<BF16, plain_rows>(w.data, at, k, x, a.stride, rows, to, n);
    if (w.format == F16) plain_tile<F16, plain_rows>(w.data, at, k, x, a.stride, rows, to, n);
}

static void product(
    const Matrix& w, int first_block, int n_blocks, const Activations& a, int first_row, int rows,
    float* y, size_t y_stride, bool add) {
    // Plain rows in tiles of one size: 9 are 5 and 4, not 8 and 1.
    const int tiles = (rows + plain_rows - 1) / plain_rows;
    const int step = packed(w) ? row_tile : (rows + tiles - 1) / tiles;
    // Weights that stay in the second-level cache while the rows pass by, a tile at a time.
    const size_t fit = cached_weights / block_bytes(w);
    const int batch = fit < 1 ? 1 : fit > 1024 ? 1024 : static_cast<int>(fit);
    for (int b = 0; b < n_blocks; b += batch) {
        const int end = b + batch < n_blocks ? b + batch : n_blocks;
        for (int r = 0; r < rows; r += step) {
            const int count = rows - r < step ? rows - r : step;
            for (int block = b; block < end; block++)
                tile(w, first_block + block, a, first_row + r, count,
                     {y + r * y_stride + static_cast<size_t>(block) * block_outputs, y_stride, add});
        }
    }
}

PADDOCK_INLINE ivec4 fold_max(ivec v) {
    const int32_t* p = reinterpret_cast<const int32_t*>(&v);
    ivec4 most = *reinterpret_cast<const iloose4*>(p);
    for (int i = 4; i < W; i += 4) {
        const ivec4 next = *reinterpret_cast<const iloose4*>(p + i);
        most = most > next ? most : next;
    }
    return most;
}

PADDOCK_INLINE ivec4 fold_sum(ivec v) {
    const int32_t* p = reinterpret_cast<const int32_t*>(&v);
    ivec4 total = *reinterpret_cast<const iloose4*>(p);
    for (int i = 4; i < W; i += 4) total += *reinterpret_cast<const iloose4*>(p + i);
    return total;
}

// The largest magnitude of a group, as an integer: NaN > infinity > all numbers.
PADDOCK_INLINE int32_t largest(const float* x) {
    ivec top = {};
    for (int i = 0; i < group_inputs; i += W) {
        const ivec size = (ivec)load(x + i) & 0x7fffffff;
        top = size > top ? size : top;
    }
    const ivec4 tops = fold_max(top);
    const int32_t a = tops[0] > tops[1] ? tops[0] : tops[1], b = tops[2] > tops[3] ? tops[2] : tops[3];
    return a > b ? a : b;
}

// The scale with which the largest magnitude (normal, as bits) falls on at most 127, in two words.
PADDOCK_INLINE float scale_of(int32_t most, int32_t words[2]) {
    const float least = as_float(most) / 127.0f;
#if PADDOCK_SPLIT
    // 2^e m with 1 <= m < 2, rounded up to 1 + p or 2 - p, p being a power of two.
    constexpr int32_t one = 127 << 23, finest = one - (6 << 23), minus = INT32_MIN;
    const int32_t e = (as_bits(least) & 0x7f800000) - one;
    const float m = as_float((as_bits(least) & 0x7fffff) | one);
    if (m == 1.0f) {
        words[0] = words[1] = e - (1 << 23);
        return as_float(e + one);
    }
    if (m <= 1.5f) {
        const int32_t up = (as_bits(m - 1.0f) + 0x7fffff) & 0x7f800000;
        const int32_t p = up < finest ? finest : up;
        words[0] = e;
        words[1] = e + p - one;
        return as_float(e + one) * (1.0f + as_float(p));
    }
    const int32_t p = as_bits(2.0f - m) & 0x7f800000;
    words[0] = p < finest ? e : e + (1 << 23);
    words[1] = p < finest ? e : (e + p - one) ^ minus;
    return as_float(e + one) * (p < finest ? 2.0f : 2.0f - as_float(p));
#else
    words[0] = as_bits(least);
    words[1] = 0;
    return least;
#endif
}

// One group of one row. False if it cannot be had in 8 bits: a number is not finite, or (SPLIT) beyond
// 1e34.
PADDOCK_INLINE bool prepare_group(const float* x, signed char* q, int32_t words[2], int32_t* sum) {
    constexpr float low = PADDOCK_SPLIT ? 1e-26f : 1e-36f;  // below, nothing but rounding errors
    const int32_t most = largest(x);
    const bool able = most < (PADDOCK_SPLIT ? as_bits(1e34f) : 0x7f800000);
    if (!able || as_float(most) < low) {
        words[0] = words[1] = *sum = 0;
        for (int i = 0; i < group_inputs; i++) q[i] = 0;
        return able;
    }
    const float inverse = 1.0f / scale_of(most, words);
    const vec magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    ivec total = {};
    for (int i = 0; i < group_inputs; i += W) {
        const ivec n = (ivec)(load(x + i) * inverse + magic) - (ivec)magic;
        *reinterpret_cast<bloose*>(q + i) = __builtin_convertvector(n, bvec);
        total += n;
    }
    const ivec4 totals = fold_sum(total);
    *sum = -8 * ((totals[0] + totals[1]) + (totals[2] + totals[3]));
    return true;
}

static void prepare(const Activations& a, int first_row, int rows) {
    const int groups = a.k / group_inputs;
    for (int row = first_row; row < first_row + rows; row++) {
        const int r = row % row_tile, begin = row - r;
        const int size = a.rows - begin < row_tile ? a.rows - begin : row_tile;
        unsigned char* at = static_cast<unsigned char*>(a.prepared) +
                            static_cast<size_t>(begin) * groups * prepared_group_bytes;
        int32_t* const first = reinterpret_cast<int32_t*>(at + size * 32) + r;
        bool able = true;
        for (int g = 0; g < groups; g++, at += size * prepared_group_bytes) {
            int32_t words[2], *const to = reinterpret_cast<int32_t*>(at + size * 32) + r;
            able &= prepare_group(
                a.x + row * a.stride + g * group_inputs,
                reinterpret_cast<signed char*>(at) + r * group_inputs, words, to + 2 * size);
            to[0] = words[0];
            to[size] = words[1];
        }
        if (!able) *first = poisoned;
    }
}

#include "quantize.h"

static const Products table = {PADDOCK_NAME, prepare, product, dequantize_row, round};

#undef PADDOCK_PICK

}  // namespace PADDOCK_SET
}  // namespace paddock

#undef PADDOCK_SET
#undef PADDOCK_NAME
#undef PADDOCK_WIDTH
#undef PADDOCK_REGISTERS
#undef PADDOCK_DOTS
#undef PADDOCK_SPLIT
