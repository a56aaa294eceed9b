// What this machine's cores can do at most: bytes read a second, products a second. For `paddock
// bench`, which states every speed as a share of these.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <new>

#include <sys/mman.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

#include "pool.h"

namespace {

// Taken in pieces like the work of a real kernel, so that a busy core costs its share here as well.
constexpr int64_t piece_bytes = 1 << 20;
constexpr int pieces_per_thread = 256;
constexpr int turns_per_piece = 1 << 14;

struct Test {
    paddock::Pool pool;
    uint8_t* memory = nullptr;
    int64_t bytes = 0;
    explicit Test(int threads) : pool(threads) {}
    ~Test() {
        if (memory) munmap(memory, static_cast<size_t>(bytes));
    }
};

// Statements without code: the compiler must believe that `x` changes, or that it is looked at.
// Without them it would compute equal chains once and leave out what nobody uses.
#define PADDOCK_CHANGED(x, kind) asm volatile("" : "+" kind(x))
#define PADDOCK_USED(x) asm volatile("" : : "m"(x))

#if defined(__x86_64__)

__attribute__((target("avx512f"))) void read_avx512(const uint8_t* at, int64_t n) {
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (int64_t i = 0; i < n; i += 256) {
        a = _mm512_or_si512(a, _mm512_load_si512(at + i));
        b = _mm512_or_si512(b, _mm512_load_si512(at + i + 64));
        c = _mm512_or_si512(c, _mm512_load_si512(at + i + 128));
        d = _mm512_or_si512(d, _mm512_load_si512(at + i + 192));
    }
    const __m512i all = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
    PADDOCK_USED(all);
}

__attribute__((target("avx2"))) void read_avx2(const uint8_t* at, int64_t n) {
    __m256i sums[4] = {};
    for (int64_t i = 0; i < n; i += 128)
        for (int j = 0; j < 4; j++)
            sums[j] = _mm256_or_si256(
                sums[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(at + i + 32 * j)));
    const __m256i all =
        _mm256_or_si256(_mm256_or_si256(sums[0], sums[1]), _mm256_or_si256(sums[2], sums[3]));
    PADDOCK_USED(all);
}

#endif

void read_base(const uint8_t* at, int64_t n) {
    using Vector = uint64_t __attribute__((vector_size(16), may_alias));
    Vector sums[4] = {};
    for (int64_t i = 0; i < n; i += 64)
        for (int j = 0; j < 4; j++)
            sums[j] |= *reinterpret_cast<const Vector*>(at + i + 16 * j);
    sums[0] |= sums[1] | sums[2] | sums[3];
    PADDOCK_USED(sums[0]);
}

// Product tests: independent chains, enough of them to hide the latency of one instruction. Each
// returns the operations (a product and an addition are two) of `turns` turns.

#if defined(__x86_64__)

constexpr int chains = 12;

__attribute__((target("avx512f,avx512vnni"))) int64_t int8_avx512(int turns) {
    __m512i sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "v");
    __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; i++) sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 128;
}

__attribute__((target("avx2,avxvnni"))) int64_t int8_avxvnni(int turns) {
    __m256i sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "x");
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(2);
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; i++) sums[i] = _mm256_dpbusd_avx_epi32(sums[i], a, b);
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 64;
}

__attribute__((target("avx2"))) int64_t int8_avx2(int turns) {
    __m256i sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "x");
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1);
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; i++) {
            PADDOCK_CHANGED(a, "x");  // else the product is computed once for all chains
            const __m256i pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones);
            sums[i] = _mm256_add_epi32(sums[i], pairs);
        }
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 64;
}

__attribute__((target("avx512f,avx512bf16"))) int64_t bf16_avx512(int turns) {
    __m512 sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "v");
    __m512 one = _mm512_set1_ps(1.0f);
    __m512bh a = _mm512_cvtne2ps_pbh(one, one), b = a;
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; i++) sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 64;
}

__attribute__((target("avx512f"))) int64_t fp32_avx512(int turns) {
    __m512 sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "v");
    __m512 a = _mm512_set1_ps(1.5f), b = _mm512_set1_ps(0.5f);
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; i++) sums[i] = _mm512_fmadd_ps(a, b, sums[i]);
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 32;
}

__attribute__((target("avx2,fma"))) int64_t fp32_avx2(int turns) {
    __m256 sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "x");
    __m256 a = _mm256_set1_ps(1.5f), b = _mm256_set1_ps(0.5f);
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; i++) sums[i] = _mm256_fmadd_ps(a, b, sums[i]);
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 16;
}

#elif defined(__aarch64__)

constexpr int chains = 16;

__attribute__((target("arch=armv8.2-a+dotprod"))) int64_t int8_dot(int turns) {
    int32x4_t sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "w");
    int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(2);
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 16
        for (int i = 0; i < chains; i++) sums[i] = vdotq_s32(sums[i], a, b);
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 32;
}

int64_t fp32_neon(int turns) {
    float32x4_t sums[chains] = {};
    for (auto& sum : sums) PADDOCK_CHANGED(sum, "w");
    float32x4_t a = vdupq_n_f32(1.5f), b = vdupq_n_f32(0.5f);
    for (int t = 0; t < turns; t++) {
#pragma GCC unroll 16
        for (int i = 0; i < chains; i++) sums[i] = vfmaq_f32(sums[i], a, b);
    }
    for (auto& sum : sums) PADDOCK_USED(sum);
    return int64_t{turns} * chains * 8;
}

#endif

using Read = void (*)(const uint8_t*, int64_t);
using Product = int64_t (*)(int turns);

Read reader() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return read_avx512;
    if (__builtin_cpu_supports("avx2")) return read_avx2;
#endif
    return read_base;
}

struct Kind {
    const char* name;
    const char* instruction;
    Product test;
};

#if defined(__x86_64__)
bool has_avxvnni() {  // no name for it in every compiler's __builtin_cpu_supports
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1;
}
#endif

// The best test of this CPU for a kind of number, or none.
Kind product(const char* name) {
    const auto is = [name](const char* other) { return std::strcmp(name, other) == 0; };
#if defined(__x86_64__)
    if (is("int8") && __builtin_cpu_supports("avx512vnni")) return {name, "vpdpbusd", int8_avx512};
    if (is("int8") && has_avxvnni()) return {name, "vpdpbusd 256", int8_avxvnni};
    if (is("int8") && __builtin_cpu_supports("avx2")) return {name, "vpmaddubsw", int8_avx2};
    if (is("bf16") && __builtin_cpu_supports("avx512bf16")) return {name, "vdpbf16ps", bf16_avx512};
    if (is("fp32") && __builtin_cpu_supports("avx512f")) return {name, "vfmadd", fp32_avx512};
    if (is("fp32") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return {name, "vfmadd", fp32_avx2};
#elif defined(__aarch64__)
#if defined(__linux__)
    constexpr unsigned long dot = 1UL << 20;  // HWCAP_ASIMDDP
    if (is("int8") && (getauxval(AT_HWCAP) & dot)) return {name, "sdot", int8_dot};
#endif
    if (is("fp32")) return {name, "fmla", fp32_neon};
#endif
    (void)is;
    return {name, nullptr, nullptr};
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

#define PADDOCK_EXPORT extern "C" __attribute__((visibility("default")))

PADDOCK_EXPORT int paddock_ceilings_abi() { return 1; }

// Threads and `bytes` of memory (whole MB), in huge pages where the system gives them. Null if
// there is not so much.
PADDOCK_EXPORT void* paddock_ceilings_open(int threads, int64_t bytes) {
    Test* test = new (std::nothrow) Test(threads);
    if (!test) return nullptr;
    test->bytes = bytes / piece_bytes * piece_bytes;
    void* memory = mmap(nullptr, static_cast<size_t>(test->bytes), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        delete test;
        return nullptr;
    }
#if defined(MADV_HUGEPAGE)
    madvise(memory, static_cast<size_t>(test->bytes), MADV_HUGEPAGE);
#endif
    test->memory = static_cast<uint8_t*>(memory);
    // Written once: unwritten memory is one page of zeros, which would be read from a cache.
    std::memset(test->memory, 1, static_cast<size_t>(test->bytes));
    return test;
}

PADDOCK_EXPORT int paddock_ceilings_threads(const void* handle) {
    return static_cast<const Test*>(handle)->pool.threads();
}

// Reads all of the memory once; bytes a second.
PADDOCK_EXPORT double paddock_ceilings_read(void* handle) {
    auto* test = static_cast<Test*>(handle);
    struct Context {
        const uint8_t* memory;
        Read read;
    } context{test->memory, reader()};
    const auto begin = std::chrono::steady_clock::now();
    test->pool.run(
        [](const void* given, int i) {
            const auto* c = static_cast<const Context*>(given);
            c->read(c->memory + i * piece_bytes, piece_bytes);
        },
        &context, static_cast<int>(test->bytes / piece_bytes));
    return static_cast<double>(test->bytes) / seconds_since(begin);
}

// The instruction that multiplies this kind of number (int8, bf16, fp32) here, null if none.
PADDOCK_EXPORT const char* paddock_ceilings_instruction(const char* kind) {
    return product(kind).instruction;
}

// Operations a second of numbers in registers, 0 for a kind that this CPU has no test for.
PADDOCK_EXPORT double paddock_ceilings_product(void* handle, const char* kind) {
    auto* test = static_cast<Test*>(handle);
    struct Context {
        Product run;
        std::atomic<int64_t> operations{0};
    } context;
    context.run = product(kind).test;
    if (!context.run) return 0;
    const auto begin = std::chrono::steady_clock::now();
    test->pool.run(
        [](const void* given, int) {
            auto* c = const_cast<Context*>(static_cast<const Context*>(given));
            c->operations.fetch_add(c->run(turns_per_piece), std::memory_order_relaxed);
        },
        &context, pieces_per_thread * test->pool.threads());
    return static_cast<double>(context.operations.load()) / seconds_since(begin);
}

PADDOCK_EXPORT void paddock_ceilings_close(void* handle) { delete static_cast<Test*>(handle); }
