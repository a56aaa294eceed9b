// How close the products come to what the machine can do: share of the read bandwidth and of the
// arithmetic ceiling, both measured in turn with the products, per instruction set, format and rows.
// scripts/bench_kernels.sh builds and runs it.
// Usage: bench [--threads N] [--set N] [--rounds N] [--cpu] [--quick]
// --cpu divides by CPU time instead of wall time: the figure to use while others use the machine,
// good for arithmetic, too kind to memory.

#include "matrix.h"
#include "pool.h"
#include "target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include <sys/mman.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace paddock;

namespace {

bool by_cpu = false;

double seconds() {
    timespec t;
    clock_gettime(by_cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <typename Part>
double timed(Pool& pool, int n, const Part& part) {
    const double begin = seconds();
    pool.run(
        [](const void* context, int i) { (*static_cast<const Part*>(context))(i); }, &part, n);
    return (seconds() - begin) / (by_cpu ? pool.threads() : 1);
}

constexpr size_t read_bytes = 256u << 20, read_chunk = 1u << 20;
volatile uint64_t sink;

// Reads and adds, in four streams of vectors: what any kernel could at best do.
void read_all(const unsigned char* from) {
    typedef uint64_t wide __attribute__((vector_size(64)));
    wide total[4] = {};
    for (size_t i = 0; i < read_chunk; i += 256) {
        __builtin_prefetch(from + i + 4096);
        __builtin_prefetch(from + i + 4160);
        __builtin_prefetch(from + i + 4224);
        __builtin_prefetch(from + i + 4288);
        for (int j = 0; j < 4; j++) total[j] += *reinterpret_cast<const wide*>(from + i + 64 * j);
    }
    const wide all = total[0] + total[1] + total[2] + total[3];
    sink = all[0] + all[1] + all[2] + all[3] + all[4] + all[5] + all[6] + all[7];
}

// Twelve independent chains of the instruction that multiplies; returns products done by one call.
constexpr int loops = 20000;
#define PADDOCK_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

#if defined(__x86_64__)
#define PADDOCK_CHAIN(name, set, type, value, text, products)                                \
    __attribute__((target(set), noinline)) double name() {                                   \
        type a = value, b = value;                                                            \
        PADDOCK_EACH(PADDOCK_DECLARE_##type)                                                 \
        for (int i = 0; i < loops; i++) {                                                    \
            asm volatile(text : PADDOCK_OUTPUTS : "v"(a), "v"(b));                           \
        }                                                                                    \
        return 12.0 * loops * products;                                                      \
    }
#define PADDOCK_DECLARE___m512i(i) __m512i t##i = _mm512_setzero_si512();
#define PADDOCK_DECLARE___m256i(i) __m256i t##i = _mm256_setzero_si256();
#define PADDOCK_OUTPUTS                                                                       \
    "+v"(t0), "+v"(t1), "+v"(t2), "+v"(t3), "+v"(t4), "+v"(t5), "+v"(t6), "+v"(t7), "+v"(t8), \
        "+v"(t9), "+v"(t10), "+v"(t11)
#define PADDOCK_LINE(op, i) op " %12, %13, %" #i "\n\t"
#define PADDOCK_LINES(op)                                                              \
    PADDOCK_LINE(op, 0) PADDOCK_LINE(op, 1) PADDOCK_LINE(op, 2) PADDOCK_LINE(op, 3)    \
    PADDOCK_LINE(op, 4) PADDOCK_LINE(op, 5) PADDOCK_LINE(op, 6) PADDOCK_LINE(op, 7)    \
    PADDOCK_LINE(op, 8) PADDOCK_LINE(op, 9) PADDOCK_LINE(op, 10) PADDOCK_LINE(op, 11)
PADDOCK_CHAIN(
    chain512, "avx512f,avx512bw,avx512vnni", __m512i, _mm512_set1_epi8(3), PADDOCK_LINES("vpdpbusd"),
    64)
PADDOCK_CHAIN(
    chain256, "avx2", __m256i, _mm256_set1_epi8(3), PADDOCK_LINES("%{vex%} vpdpbusd"), 32)
PADDOCK_CHAIN(chain_avx2, "avx2", __m256i, _mm256_set1_epi8(3), PADDOCK_LINES("vpmaddubsw"), 32)
PADDOCK_CHAIN(
    floats512, "avx512f", __m512i, _mm512_set1_epi32(0x3f800000), PADDOCK_LINES("vfmadd231ps"), 16)
PADDOCK_CHAIN(
    floats256, "avx2,fma", __m256i, _mm256_set1_epi32(0x3f800000), PADDOCK_LINES("vfmadd231ps"), 8)
#endif

double (*chain_of(int set, bool is_packed))() {
#if defined(__x86_64__)
    if (set == avx512vnni || set == avx512amd) return is_packed ? chain512 : floats512;
    if (set == avxvnni) return is_packed ? chain256 : floats256;
    if (set == avx2) return is_packed ? chain_avx2 : floats256;
#endif
    (void)set;
    (void)is_packed;
    return nullptr;
}

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

struct Best {
    std::vector<double> all;
    void add(double rate) { all.push_back(rate); }
    double most() const { return *std::max_element(all.begin(), all.end()); }
};

struct Bench {
    Pool pool;
    int rounds;
    unsigned char* weights;
    std::vector<float> x, y;
    unsigned char* prepared;

    Bench(int threads, int rounds_) : pool(threads), rounds(rounds_) {
        void* memory = mmap(nullptr, read_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                            -1, 0);
        if (memory == MAP_FAILED) std::abort();
        madvise(memory, read_bytes, MADV_HUGEPAGE);
        weights = static_cast<unsigned char*>(memory);
        std::memset(weights, 0x11, read_bytes);  // any codes, small scales
        x.assign(512 * 11008, 0.5f);
        y.resize(512 * 32768);
        prepared = static_cast<unsigned char*>(std::aligned_alloc(64, prepared_bytes(512, 11008)));
    }

    // `rows` rows times a matrix of so many bytes; for few rows that is far more than any cache holds.
    void run(int set, int32_t format, int rows, int k, size_t bytes_used = read_bytes) {
        const Products& p = *products(set);
        Matrix w{weights, format, 16, k};
        const size_t most = rows > 8 ? 256 : 1 << 20;
        const size_t n_blocks = std::min(most, bytes_used / block_bytes(w));
        w.n = static_cast<int32_t>(16 * n_blocks);
        const Activations a{x.data(), static_cast<size_t>(k), rows, k, prepared};
        if (packed(w)) p.prepare(a, 0, rows);
        const int each = std::max<int>(1, static_cast<int>(std::min<size_t>(
                                              32, ((rows > 8 ? 1024 : 128) << 10) / block_bytes(w))));
        const int chunks = static_cast<int>((n_blocks + each - 1) / each);
        const size_t y_stride = std::min<size_t>(w.n, y.size() / rows) & ~size_t{15};
        const double bytes = static_cast<double>(n_blocks * block_bytes(w));
        const double operations = 2.0 * rows * w.n * k;
        double (*chain)() = chain_of(set, packed(w));
        const bool cached = bytes_used < read_bytes, reads = rows <= 8 && !cached;
        const auto multiply = [&](int c) {
            const int first = c * each, count = std::min<int>(each, static_cast<int>(n_blocks) - first);
            p.product(w, first, count, a, 0, rows,
                      y.data() + (static_cast<size_t>(first) * 16) % (y_stride - 512), y_stride,
                      false);
        };
        Best read, ceiling, done;
        std::vector<double> of_read, of_ceiling;
        for (int i = 0; i < rounds; i++) {
            if (reads)
                read.add(read_bytes / timed(pool, read_bytes / read_chunk, [&](int c) {
                             read_all(weights + c * read_chunk);
                         }));
            const int parts = 8 * pool.threads();
            if (chain) {
                const double each_part = 2 * chain();
                ceiling.add(parts * each_part / timed(pool, parts, [&](int) { chain(); }));
            }
            if (cached) timed(pool, chunks, multiply);
            const double time = timed(pool, chunks, multiply);
            done.add(1 / time);
            if (reads) of_read.push_back(bytes / time / read.all.back());
            if (chain) of_ceiling.push_back(operations / time / ceiling.all.back());
        }
        const char* const names[] = {"fp32", "bf16", "fp16", "int8", "int4"};
        std::printf("%-20s %s %4d rows, k %5d: %6.1f GB/s", p.name, names[format], rows, k,
                    bytes * done.most() / 1e9);
        if (reads)
            std::printf(" of %5.1f read, %3.0f %% (median %3.0f %%)", read.most() / 1e9,
                        100 * bytes * done.most() / read.most(), 100 * median(of_read));
        std::printf("; %5.3f TOPS", operations * done.most() / 1e12);
        if (chain)
            std::printf(" of %5.3f, %3.0f %% (median %3.0f %%)", ceiling.most() / 1e12,
                        100 * operations * done.most() / ceiling.most(), 100 * median(of_ceiling));
        std::printf("\n");
        std::fflush(stdout);
    }
};

}  // namespace

int main(int count, char** values) {
    int threads = 2, only = 0, rounds = 7;
    bool quick = false;
    for (int i = 1; i < count; i++) {
        const bool more = i + 1 < count;
        if (!std::strcmp(values[i], "--cpu")) by_cpu = true;
        if (!std::strcmp(values[i], "--quick")) quick = true;
        if (more && !std::strcmp(values[i], "--threads")) threads = std::atoi(values[++i]);
        if (more && !std::strcmp(values[i], "--set")) only = std::atoi(values[++i]);
        if (more && !std::strcmp(values[i], "--rounds")) rounds = std::atoi(values[++i]);
    }
    Bench bench(threads, rounds);
    for (int set = avx512amd; set >= base; set--) {
        if (!products(set) || (only && set != only)) continue;
        for (const int32_t format : {Q4, Q8, BF16, F32}) {
            if (quick && format != Q4) continue;
            for (const int rows : {1, 2, 4, 8, 32, 128, 512}) bench.run(set, format, rows, 4096);
            if (!quick)  // a small model's, whose weights stay in the cache
                for (const int rows : {1, 2, 4, 8, 16}) bench.run(set, format, rows, 256, 4 << 20);
            if (!quick && format == Q4) bench.run(set, format, 512, 11008);
        }
    }
    return 0;
}
