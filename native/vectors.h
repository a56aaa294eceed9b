// Vectors of PADDOCK_WIDTH floats: what rows.h is written in. Included by it once per instruction
// set, in namespace PADDOCK_SET. Hence no include guard.

constexpr int W = PADDOCK_WIDTH;
typedef float vec __attribute__((vector_size(W * 4)));
typedef int32_t ivec __attribute__((vector_size(W * 4)));
typedef double dvec __attribute__((vector_size(W * 4)));
typedef int64_t lvec __attribute__((vector_size(W * 4)));
typedef float hvec __attribute__((vector_size(W * 2)));
typedef float vec4 __attribute__((vector_size(16)));
typedef float loose __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef float loose4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float hloose __attribute__((vector_size(W * 2), aligned(4), may_alias));
typedef double dloose __attribute__((vector_size(W * 4), aligned(8), may_alias));

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

// W halves and W bytes as floats.
PADDOCK_INLINE vec load(const Half* p) {
    // The masked forms because GCC 12 warns of its own header's unmasked ones.
#if defined(__x86_64__) && PADDOCK_WIDTH == 16 && PADDOCK_F16C
    return (vec)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__x86_64__) && PADDOCK_WIDTH == 8 && PADDOCK_F16C
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__aarch64__) && PADDOCK_WIDTH == 4
    return (vec)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits)));
#else
    ivec h;
    for (int i = 0; i < W; i++) h[i] = p[i].bits;
    const ivec sign = (h & 0x8000) << 16, magnitude = (h & 0x7fff) << 13;
    // Times 2^112 moves the exponent, of subnormals too; infinity and NaN get theirs by hand.
    const ivec finite = (ivec)((vec)magnitude * 0x1p112f);
    const ivec special = (h & 0x7c00) == 0x7c00;
    return (vec)(sign | (special & (magnitude | 0x7f800000)) | (~special & finite));
#endif
}

PADDOCK_INLINE vec load(const int8_t* p) {
#if defined(__x86_64__) && PADDOCK_WIDTH == 16 && PADDOCK_F16C
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return (vec)_mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_cvtepi8_epi32(0xffff, bytes));
#elif defined(__x86_64__) && PADDOCK_WIDTH == 8 && PADDOCK_F16C
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return (vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
#else
    vec v;
    for (int i = 0; i < W; i++) v[i] = p[i];
    return v;
#endif
}

PADDOCK_INLINE float single(float x) { return x; }
PADDOCK_INLINE float single(Half x) { return to_float(x); }
PADDOCK_INLINE float single(int8_t x) { return x; }

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

PADDOCK_INLINE float sum(vec v) {
    const vec4 p = fold(v);
    return (p[0] + p[2]) + (p[1] + p[3]);
}

// The larger of each pair; b where a is NaN.
PADDOCK_INLINE vec larger(vec a, vec b) { return a > b ? a : b; }

PADDOCK_INLINE float highest(vec v) {
    float most = v[0];
    for (int i = 1; i < W; i++) most = v[i] > most ? v[i] : most;
    return most;
}

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

// e^x in doubles to about an ulp for x <= 0; below -745, which has no double, 0. The series of e^r to
// the 13th term, |r| <= ln 2 / 2; the power of two in two halves, for results that are subnormal.
PADDOCK_INLINE dvec exponential(dvec x) {
    const dvec least = -745.0 - dvec{};
    const lvec some = x >= least;
    x = x < least ? least : x;
    const dvec magic = 6755399441055744.0 - dvec{};  // 1.5 * 2^52: adding it rounds to an integer
    const dvec shifted = x * 1.4426950408889634 + magic, n = shifted - magic;
    const dvec r = x - n * 6.93147180369123816490e-1 - n * 1.90821492927058770002e-10;
    dvec y = 1.0 / 6227020800 - dvec{};
    y = y * r + 1.0 / 479001600;
    y = y * r + 1.0 / 39916800;
    y = y * r + 1.0 / 3628800;
    y = y * r + 1.0 / 362880;
    y = y * r + 1.0 / 40320;
    y = y * r + 1.0 / 5040;
    y = y * r + 1.0 / 720;
    y = y * r + 1.0 / 120;
    y = y * r + 1.0 / 24;
    y = y * r + 1.0 / 6;
    y = y * r + 0.5;
    y = y * (r * r) + r + 1.0;
    const lvec half = (lvec)(n * 0.5 + magic) - (lvec)magic;
    const lvec rest = (lvec)shifted - (lvec)magic - half;
    const dvec made = y * (dvec)((half + 1023) << 52) * (dvec)((rest + 1023) << 52);
    return (dvec)((lvec)made & some);
}
