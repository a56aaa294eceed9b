// Vectors of PADDOCK_WIDTH fp32 numbers: what products.h and quantize.h are written in. Included by
// products.h once per instruction set, in namespace PADDOCK_SET. Hence no include guard.

constexpr int W = PADDOCK_WIDTH;
typedef float vec __attribute__((vector_size(W * 4)));
typedef int32_t ivec __attribute__((vector_size(W * 4)));
typedef uint16_t hvec __attribute__((vector_size(W * 2)));
typedef int8_t bvec __attribute__((vector_size(W)));
typedef float vec4 __attribute__((vector_size(16)));
typedef int32_t ivec4 __attribute__((vector_size(16)));
typedef float loose __attribute__((vector_size(W * 4), aligned(1), may_alias));
typedef float loose4 __attribute__((vector_size(16), aligned(1), may_alias));
typedef int32_t iloose4 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t hloose __attribute__((vector_size(W * 2), aligned(1), may_alias));
typedef int8_t bloose __attribute__((vector_size(W), aligned(1), may_alias));

PADDOCK_INLINE vec load(const float* p) { return *reinterpret_cast<const loose*>(p); }
PADDOCK_INLINE void store(float* p, vec v) { *reinterpret_cast<loose*>(p) = v; }
PADDOCK_INLINE vec all(float x) { return x - vec{}; }  // x - 0 keeps -0 and NaN
PADDOCK_INLINE vec floats(ivec v) { return __builtin_convertvector(v, vec); }

// a * b + c, in one instruction where there is one.
PADDOCK_INLINE vec fused(vec a, vec b, vec c) {
#if defined(__x86_64__) && PADDOCK_WIDTH == 16
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__x86_64__) && PADDOCK_WIDTH == 8
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

// W numbers of 16 bits as fp32.
PADDOCK_INLINE vec halves(const void* p) {
#if defined(__x86_64__) && PADDOCK_WIDTH == 16
    // The unmasked form makes GCC 12 warn of its own header (GCC bug 105593).
    return (vec)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(static_cast<const __m256i*>(p)));
#elif defined(__x86_64__) && PADDOCK_WIDTH == 8
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
#elif defined(__aarch64__)
    return (vec)vcvt_f32_f16(vreinterpret_f16_u16((uint16x4_t)*static_cast<const hloose*>(p)));
#else
    const ivec h = __builtin_convertvector(*static_cast<const hloose*>(p), ivec);
    const ivec size = h & 0x7fff, sign = (h & 0x8000) << 16;
    const vec small = floats(size) * 0x1p-24f;  // no subnormal fp32 on the way
    const ivec large = (size << 13) + (size >= 0x7c00 ? ivec{} + (224 << 23) : ivec{} + (112 << 23));
    return (vec)((size < 0x400 ? (ivec)small : large) | sign);
#endif
}

// W numbers of bf16 as fp32. Of __builtin_convertvector GCC 12 makes four shuffles where one will do.
PADDOCK_INLINE vec bfloats(const void* p) {
#if defined(__x86_64__) && PADDOCK_WIDTH == 16
    const __m256i h = _mm256_loadu_si256(static_cast<const __m256i*>(p));
    return (vec)((ivec)_mm512_maskz_cvtepu16_epi32(0xffff, h) << 16);
#elif defined(__x86_64__) && PADDOCK_WIDTH == 8
    return (vec)((ivec)_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))) << 16);
#else
    return (vec)(__builtin_convertvector(*static_cast<const hloose*>(p), ivec) << 16);
#endif
}
