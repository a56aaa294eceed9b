// Products of matrices for every instruction set, and the choice between the sets.

#include "matrix.h"
#include "target.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

#define PADDOCK_INLINE static inline __attribute__((always_inline))
#define PADDOCK_UNROLL _Pragma("GCC unroll 8")

namespace paddock {

using std::memcpy;

// How far ahead packed weights are asked for, into the first- and the second-level cache, and rows.
// With one or two rows the instructions of a group are so few that the CPU itself runs far enough
// ahead; asking then only takes places in the queue.
constexpr size_t near_bytes = 2048, far_bytes = 16384, row_bytes = 4096;
constexpr size_t cached_weights = 448 * 1024;  // less than the second-level cache of server CPUs

// Where a product's outputs go.
struct Target {
    float* y;
    size_t stride;
    bool add;
};

PADDOCK_INLINE int32_t four(const void* p) {
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

PADDOCK_INLINE float as_float(int32_t bits) {
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

PADDOCK_INLINE int32_t as_bits(float f) { return four(&f); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) PADDOCK_INLINE __m256i load256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
#endif

static float half(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
    const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * static_cast<float>(mantissa);
    const uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static float bfloat(uint16_t h) {
    const uint32_t bits = static_cast<uint32_t>(h) << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void packed_row(const Matrix& w, int index, float* out) {
    const bool is_four = w.format == Q4;
    const size_t codes = is_four ? 256 : 512;
    const unsigned char* group = static_cast<const unsigned char*>(w.data) +
                                 static_cast<size_t>(index / block_outputs) * block_bytes(w);
    const int o = index % block_outputs;
    for (int g = 0; g < w.k / group_inputs; g++, group += codes + 2 * block_outputs) {
        uint16_t h;
        memcpy(&h, group + codes + 2 * o, 2);
        const float scale = half(h);
        for (int i = 0; i < group_inputs; i++) {
            const int byte = group[(is_four ? i / 8 : i / 4) * 64 + o * 4 + i % 4];
            const int q = !is_four      ? static_cast<signed char>(byte)
                          : i % 8 < 4 ? (byte & 15) - 8
                                      : (byte >> 4) - 8;
            *out++ = static_cast<float>(q) * scale;
        }
    }
}

static void dequantize_row(const Matrix& w, int index, float* out) {
    if (packed(w)) return packed_row(w, index, out);
    const size_t k = w.k, first = index * k;
    if (w.format == F32) {
        memcpy(out, static_cast<const float*>(w.data) + first, 4 * k);
        return;
    }
    const uint16_t* p = static_cast<const uint16_t*>(w.data) + first;
    for (size_t i = 0; i < k; i++) out[i] = w.format == F16 ? half(p[i]) : bfloat(p[i]);
}

}  // namespace paddock

// The kinds of dots.h.
#define PADDOCK_PLAIN 0
#define PADDOCK_SSE2 1
#define PADDOCK_MADDUBS 2
#define PADDOCK_VNNI256 3
#define PADDOCK_VNNI512 4
#define PADDOCK_NEON 5
#define PADDOCK_SDOT 6

#define PADDOCK_SET set_base
#define PADDOCK_WIDTH 4
#if defined(__x86_64__)
#define PADDOCK_NAME "SSE2"
#define PADDOCK_REGISTERS 16
#define PADDOCK_DOTS PADDOCK_SSE2
#elif defined(__aarch64__)
#define PADDOCK_NAME "NEON"
#define PADDOCK_REGISTERS 32
#define PADDOCK_DOTS PADDOCK_NEON
#else
#define PADDOCK_NAME "portable"
#define PADDOCK_REGISTERS 16
#define PADDOCK_DOTS PADDOCK_PLAIN
#endif
#define PADDOCK_SPLIT 0
#include "products.h"

#if defined(__x86_64__)

PADDOCK_TARGET("avx2,fma,f16c")
#define PADDOCK_SET set_avx2
#define PADDOCK_NAME "AVX2"
#define PADDOCK_WIDTH 8
#define PADDOCK_REGISTERS 16
#define PADDOCK_DOTS PADDOCK_MADDUBS
#define PADDOCK_SPLIT 0
#include "products.h"
PADDOCK_TARGET_END

PADDOCK_TARGET("avxvnni,avx2,fma,f16c")
#define PADDOCK_SET set_avxvnni
#define PADDOCK_NAME "AVX-VNNI"
#define PADDOCK_WIDTH 8
#define PADDOCK_REGISTERS 16
#define PADDOCK_DOTS PADDOCK_VNNI256
#define PADDOCK_SPLIT 0
#include "products.h"
PADDOCK_TARGET_END

PADDOCK_TARGET("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma,f16c")
#define PADDOCK_SET set_avx512vnni
#define PADDOCK_NAME "AVX-512 VNNI"
#define PADDOCK_WIDTH 16
#define PADDOCK_REGISTERS 32
#define PADDOCK_DOTS PADDOCK_VNNI512
#define PADDOCK_SPLIT 0
#include "products.h"
PADDOCK_TARGET_END

PADDOCK_TARGET("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma,f16c")
#define PADDOCK_SET set_avx512amd
#define PADDOCK_NAME "AVX-512 VNNI for AMD"
#define PADDOCK_WIDTH 16
#define PADDOCK_REGISTERS 32
#define PADDOCK_DOTS PADDOCK_VNNI512
#define PADDOCK_SPLIT 1
#include "products.h"
PADDOCK_TARGET_END

#elif defined(__aarch64__)

PADDOCK_TARGET("arch=armv8.2-a+dotprod")
#define PADDOCK_SET set_dotprod
#define PADDOCK_NAME "NEON with dot product"
#define PADDOCK_WIDTH 4
#define PADDOCK_REGISTERS 32
#define PADDOCK_DOTS PADDOCK_SDOT
#define PADDOCK_SPLIT 0
#include "products.h"
PADDOCK_TARGET_END

#endif

namespace paddock {

#if defined(__x86_64__)

// Two flags that not every compiler's __builtin_cpu_supports knows. The operating system's part
// (registers of 256 bits) is what "avx2" asks.
static bool has_f16c() {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c >> 29 & 1;
}

static bool has_avxvnni() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1;
}

static bool has(int32_t set) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c()) return false;
    if (set == avxvnni) return has_avxvnni();
    return set == avx2 ||
           (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vnni"));
}

const Products* products(int32_t set) {
    if (set == base) return &set_base::table;
    const struct {
        int32_t set;
        const Products* table;
    } known[] = {{avx512amd, &set_avx512amd::table},
                 {avx512vnni, &set_avx512vnni::table},
                 {avxvnni, &set_avxvnni::table},
                 {avx2, &set_avx2::table}};
    const bool amd = __builtin_cpu_is("amd");
    for (const auto& one : known) {
        const bool wanted = set == best ? one.set != avx512amd || amd : set == one.set;
        if (wanted && has(one.set)) return one.table;
    }
    return set == best ? &set_base::table : nullptr;
}

#elif defined(__aarch64__)

const Products* products(int32_t set) {
    const bool able = getauxval(AT_HWCAP) & 1 << 20;  // HWCAP_ASIMDDP
    if ((set == best || set == dotprod) && able) return &set_dotprod::table;
    return set == best || set == base ? &set_base::table : nullptr;
}

#else

const Products* products(int32_t set) {
    return set == best || set == base ? &set_base::table : nullptr;
}

#endif

}  // namespace paddock
