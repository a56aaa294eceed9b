// The arithmetic of one decode step, written once in vectors of PADDOCK_WIDTH floats and included
// by decode.cpp once per instruction set, in namespace PADDOCK_SET. Hence no include guard.
//
// Every output is summed in one fixed order, whatever the number of rows or threads: a request's
// logits are bit for bit the same alone and in a batch. Nothing is read beyond the last element.

namespace paddock {
namespace PADDOCK_SET {

constexpr int W = PADDOCK_WIDTH;
typedef float vec __attribute__((vector_size(W * 4)));
typedef int32_t ivec __attribute__((vector_size(W * 4)));
typedef float vec4 __attribute__((vector_size(16)));
typedef float loose __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef float loose4 __attribute__((vector_size(16), aligned(4), may_alias));

#define PADDOCK_INLINE static inline __attribute__((always_inline))

PADDOCK_INLINE vec load(const float* p) { return *reinterpret_cast<const loose*>(p); }
PADDOCK_INLINE void store(float* p, vec v) { *reinterpret_cast<loose*>(p) = v; }
PADDOCK_INLINE vec all(float x) { return x - vec{}; }  // x - 0 keeps -0 and NaN

// The first n < W floats, then zeros.
PADDOCK_INLINE vec load_part(const float* p, size_t n) {
    float part[W] = {};
    for (size_t i = 0; i < n; i++) part[i] = p[i];
    return load(part);
}

PADDOCK_INLINE vec4 fold(vec v) {
    const float* p = reinterpret_cast<const float*>(&v);
#if PADDOCK_WIDTH == 4
    return *reinterpret_cast<const loose4*>(p);
#elif PADDOCK_WIDTH == 8
    return *reinterpret_cast<const loose4*>(p) + *reinterpret_cast<const loose4*>(p + 4);
#else
    return (*reinterpret_cast<const loose4*>(p) + *reinterpret_cast<const loose4*>(p + 8)) +
           (*reinterpret_cast<const loose4*>(p + 4) + *reinterpret_cast<const loose4*>(p + 12));
#endif
}

// Four elements of a (0 to 3) and b (4 to 7).
#if defined(__clang__)
#define PADDOCK_PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t ivec4 __attribute__((vector_size(16)));
#define PADDOCK_PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, ivec4{i, j, k, l})
#endif

// The sums of four vectors.
PADDOCK_INLINE vec4 sums(vec a, vec b, vec c, vec d) {
    const vec4 p = fold(a), q = fold(b), r = fold(c), s = fold(d);
    const vec4 pq = PADDOCK_PICK(p, q, 0, 4, 1, 5) + PADDOCK_PICK(p, q, 2, 6, 3, 7);
    const vec4 rs = PADDOCK_PICK(r, s, 0, 4, 1, 5) + PADDOCK_PICK(r, s, 2, 6, 3, 7);
    return PADDOCK_PICK(pq, rs, 0, 1, 4, 5) + PADDOCK_PICK(pq, rs, 2, 3, 6, 7);
}

PADDOCK_INLINE float sum(vec v) { return sums(v, vec{}, vec{}, vec{})[0]; }

// e^x to 2 ulp for -87 <= x <= 88, clamped beyond; NaN stays NaN. Cephes' expf: x = n ln 2 + r, a
// polynomial for e^r, n into the exponent bits.
PADDOCK_INLINE vec exponential(vec x) {
    const vec low = all(-87.0f), high = all(88.0f);
    x = x < low ? low : x;
    x = x > high ? high : x;
    const vec magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const vec shifted = x * 1.44269504088896341f + magic;
    const vec n = shifted - magic;
    const vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec y = all(1.9875691500e-4f);
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    const ivec power = ((ivec)shifted - (ivec)magic + 127) << 23;
    return y * (vec)power;
}

// R rows of w (n floats each, one after the other) times N rows of x.
template <int R, int N>
PADDOCK_INLINE void tile(
    const float* w, size_t n, const float* x, size_t x_stride, float* y, size_t y_stride) {
    vec total[R][N];
    for (int r = 0; r < R; r++)
        for (int b = 0; b < N; b++) total[r][b] = vec{};
    size_t i = 0;
    for (; i + W <= n; i += W) {
        vec input[N];
#pragma GCC unroll 8
        for (int b = 0; b < N; b++) input[b] = load(x + b * x_stride + i);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const vec weight = load(w + r * n + i);
#pragma GCC unroll 8
            for (int b = 0; b < N; b++) total[r][b] += weight * input[b];
        }
    }
    if (i < n) {
        for (int r = 0; r < R; r++) {
            const vec weight = load_part(w + r * n + i, n - i);
            for (int b = 0; b < N; b++)
                total[r][b] += weight * load_part(x + b * x_stride + i, n - i);
        }
    }
#pragma GCC unroll 8
    for (int b = 0; b < N; b++) {
        if (R == 1) {
            y[b * y_stride] = sum(total[0][b]);
        } else {
#pragma GCC unroll 8
            for (int r = 0; r + 3 < R; r += 4)
                *reinterpret_cast<loose4*>(y + b * y_stride + r) =
                    sums(total[r][b], total[r + 1][b], total[r + 2][b], total[r + 3][b]);
        }
    }
}

// 16 registers hold 12 sums, 3 inputs and a weight; AVX-512 and NEON have 32.
template <int R>
PADDOCK_INLINE void rows_of(
    const float* w, size_t n, const float* x, size_t x_stride, int rows, float* y, size_t y_stride) {
    int b = 0;
#if PADDOCK_REGISTERS == 32
    for (; b + 6 <= rows; b += 6)
        tile<R, 6>(w, n, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
#endif
    for (; b + 3 <= rows; b += 3)
        tile<R, 3>(w, n, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
    if (b + 2 == rows) tile<R, 2>(w, n, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
    if (b + 1 == rows) tile<R, 1>(w, n, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
}

// y[b][o] = w[o] . x[b] for `outputs` rows of w and `rows` rows of x; w is read from memory once.
static void products(
    const float* w, size_t n, int outputs, const float* x, size_t x_stride, int rows, float* y,
    size_t y_stride) {
    int o = 0;
    if (rows == 1)
        for (; o + 8 <= outputs; o += 8) tile<8, 1>(w + o * n, n, x, 0, y + o, 0);
    for (; o + 4 <= outputs; o += 4) rows_of<4>(w + o * n, n, x, x_stride, rows, y + o, y_stride);
    for (; o < outputs; o++) rows_of<1>(w + o * n, n, x, x_stride, rows, y + o, y_stride);
}

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

// scores[g][p] = q[g] . k[p], the keys `stride` floats apart.
template <int G, int P>
PADDOCK_INLINE void score(
    const float* q, const float* k, size_t stride, size_t n, float* scores) {
    vec total[G][P];
    for (int g = 0; g < G; g++)
        for (int p = 0; p < P; p++) total[g][p] = vec{};
    size_t i = 0;
    for (; i + W <= n; i += W) {
        vec query[G];
#pragma GCC unroll 2
        for (int g = 0; g < G; g++) query[g] = load(q + g * n + i);
#pragma GCC unroll 4
        for (int p = 0; p < P; p++) {
            const vec key = load(k + p * stride + i);
#pragma GCC unroll 2
            for (int g = 0; g < G; g++) total[g][p] += query[g] * key;
        }
    }
    if (i < n) {
        for (int p = 0; p < P; p++) {
            const vec key = load_part(k + p * stride + i, n - i);
            for (int g = 0; g < G; g++) total[g][p] += load_part(q + g * n + i, n - i) * key;
        }
    }
#pragma GCC unroll 2
    for (int g = 0; g < G; g++) {
        if (P == 4) {
            *reinterpret_cast<loose4*>(scores + g * attention_block) =
                sums(total[g][0], total[g][1 % P], total[g][2 % P], total[g][3 % P]);
        } else {
            scores[g * attention_block] = sum(total[g][0]);
        }
    }
}

// out[g][D vectors from d] += sum over positions of weight[g][p] * v[p][...]
template <int G, int D>
PADDOCK_INLINE void gather(
    const float* weight, const float* v, size_t stride, int positions, size_t n, float* out) {
    vec total[G][D];
#pragma GCC unroll 2
    for (int g = 0; g < G; g++)
#pragma GCC unroll 4
        for (int d = 0; d < D; d++) total[g][d] = load(out + g * n + d * W);
    for (int p = 0; p < positions; p++) {
        vec value[D];
#pragma GCC unroll 4
        for (int d = 0; d < D; d++) value[d] = load(v + p * stride + d * W);
#pragma GCC unroll 2
        for (int g = 0; g < G; g++)
#pragma GCC unroll 4
            for (int d = 0; d < D; d++)
                total[g][d] += value[d] * weight[g * attention_block + p];
    }
#pragma GCC unroll 2
    for (int g = 0; g < G; g++)
#pragma GCC unroll 4
        for (int d = 0; d < D; d++) store(out + g * n + d * W, total[g][d]);
}

// One block of at most attention_block positions seen by G query heads, into a softmax that is
// rescaled whenever a larger score turns up (arXiv 2205.14135).
template <int G>
PADDOCK_INLINE void block(
    const float* q, const float* k, const float* v, size_t stride, int positions, size_t n,
    float* highest, float* total, float* out) {
    alignas(64) float scores[G * attention_block];
    int p = 0;
    for (; p + 4 <= positions; p += 4) score<G, 4>(q, k + p * stride, stride, n, scores + p);
    for (; p < positions; p++) score<G, 1>(q, k + p * stride, stride, n, scores + p);
    for (int g = 0; g < G; g++) {
        float* s = scores + g * attention_block;
        float top = highest[g];
        for (p = 0; p < positions; p++) top = s[p] > top ? s[p] : top;
        if (top > highest[g]) {
            const float shrink = exponential(all(highest[g] - top))[0];
            total[g] *= shrink;
            for (size_t i = 0; i < n; i++) out[g * n + i] *= shrink;
            highest[g] = top;
        }
        for (; p % W; p++) s[p] = -INFINITY;  // attention_block is a multiple of every W
        vec part = {};
        for (int i = 0; i < p; i += W) {
            const vec weight = exponential(load(s + i) - top);
            store(s + i, weight);
            part += weight;
        }
        total[g] += sum(part);
    }
    size_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W) gather<G, 4>(scores, v + i, stride, positions, n, out + i);
    for (; i + W <= n; i += W) gather<G, 1>(scores, v + i, stride, positions, n, out + i);
    for (; i < n; i++)
        for (int g = 0; g < G; g++)
            for (p = 0; p < positions; p++)
                out[g * n + i] += scores[g * attention_block + p] * v[p * stride + i];
}

// `heads` query heads (head_dim floats each, scaled, one after the other) over one key/value head.
static void attend(const Attention& a) {
    const size_t n = a.head_dim;
    float highest[attention_heads], total[attention_heads] = {};
    for (int g = 0; g < a.heads; g++) highest[g] = -INFINITY;
    for (size_t i = 0; i < a.heads * n; i++) a.out[i] = 0;
    for (int64_t first = 0; first < a.length;) {
        const int64_t offset = first % a.page_size;
        int64_t count = a.page_size - offset < attention_block ? a.page_size - offset : attention_block;
        count = a.length - first < count ? a.length - first : count;
        const float* k = a.keys + a.pages[first / a.page_size] * a.page_stride +
                         offset * a.position_stride;
        const float* v = k + a.value_offset;
        const int positions = static_cast<int>(count);
        const size_t stride = static_cast<size_t>(a.position_stride);
        int g = 0;
        for (; g + 2 <= a.heads; g += 2)
            block<2>(a.query + g * n, k, v, stride, positions, n, highest + g, total + g,
                     a.out + g * n);
        if (g < a.heads)
            block<1>(a.query + g * n, k, v, stride, positions, n, highest + g, total + g,
                     a.out + g * n);
        first += count;
    }
    for (int g = 0; g < a.heads; g++) {
        const float scale = 1.0f / total[g];
        for (size_t i = 0; i < n; i++) a.out[g * n + i] *= scale;
    }
}

static const Kernels kernels = {products, norm, swiglu, attend};

#undef PADDOCK_INLINE
#undef PADDOCK_PICK

}  // namespace PADDOCK_SET
}  // namespace paddock
