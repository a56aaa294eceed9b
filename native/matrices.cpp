// The C interface to matrices alone: products, quantization, repacking of GGUF's blocks, each shared
// by a few threads for the time of the call. kernels/library.py calls it through ctypes. All memory
// belongs to the caller, who checks every size before it gets here.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "matrix.h"
#include "pool.h"

namespace paddock {
namespace {

// Calls part(i) for i in 0 .. n - 1. Throws if there is no memory for a pool.
template <typename Part>
void share(int threads, int n, const Part& part) {
    if (threads <= 1 || n == 1 || n > Pool::max_chunks) {
        for (int i = 0; i < n; i++) part(i);
    } else {
        Pool(threads).run(
            [](const void* context, int i) { (*static_cast<const Part*>(context))(i); }, &part, n);
    }
}

int pieces(int n, int each) { return (n + each - 1) / each; }

int piece(int n, int each, int i) { return n - i * each < each ? n - i * each : each; }

uint32_t word(const unsigned char* p) {
    uint32_t v;
    std::memcpy(&v, p, 4);
    return v;
}

// One group of one output from GGUF's Q4_0: an fp16 scale, then bytes whose low halves are inputs 0 to
// 15 and whose high halves are inputs 16 to 31, each as q + 8.
void repack4(const unsigned char* from, int output, unsigned char* group) {
    constexpr uint32_t low = 0x0f0f0f0f;
    const uint32_t a = word(from + 2), b = word(from + 6), c = word(from + 10), d = word(from + 14);
    const uint32_t words[4] = {
        (a & low) | (b & low) << 4, (c & low) | (d & low) << 4, (a >> 4 & low) | (b & ~low),
        (c >> 4 & low) | (d & ~low)};
    for (int j = 0; j < 4; j++) std::memcpy(group + 64 * j + 4 * output, &words[j], 4);
    std::memcpy(group + 256 + 2 * output, from, 2);
}

// The same from Q8_0: an fp16 scale, then 32 signed bytes.
void repack8(const unsigned char* from, int output, unsigned char* group) {
    for (int j = 0; j < 8; j++) std::memcpy(group + 64 * j + 4 * output, from + 2 + 4 * j, 4);
    std::memcpy(group + 512 + 2 * output, from, 2);
}

void repack_block(const Matrix& to, const unsigned char* from, int block) {
    const bool is_four = to.format == Q4;
    const size_t groups = to.k / group_inputs, size = is_four ? 18 : 34;
    const size_t bytes = block_bytes(to) / groups;
    unsigned char* out = static_cast<unsigned char*>(const_cast<void*>(to.data)) +
                         static_cast<size_t>(block) * block_bytes(to);
    const int first = block * block_outputs, n = piece(to.n, block_outputs, block);
    for (size_t g = 0; g < groups; g++, out += bytes) {
        if (n < block_outputs) {
            std::memset(out, is_four ? 0x88 : 0, bytes - 2 * block_outputs);
            std::memset(out + bytes - 2 * block_outputs, 0, 2 * block_outputs);
        }
        for (int o = 0; o < n; o++)
            (is_four ? repack4 : repack8)(from + ((first + o) * groups + g) * size, o, out);
    }
}

}  // namespace
}  // namespace paddock

#define PADDOCK_EXPORT extern "C" __attribute__((visibility("default")))

// Goes up with every change of a signature here or of Matrix; kernels/library.py refuses any other.
PADDOCK_EXPORT int paddock_matrices_abi() { return 1; }

// The name of an instruction set of matrix.h; null if this CPU lacks it.
PADDOCK_EXPORT const char* paddock_products_name(int set) {
    const paddock::Products* products = paddock::products(set);
    return products ? products->name : nullptr;
}

// y (rows, n) = x (rows, k) times the matrix. 0; 1 if the set is missing, 2 if there is no such
// matrix, 3 if memory is short.
PADDOCK_EXPORT int paddock_product(
    int set, int threads, const paddock::Matrix* w, const float* x, int rows, float* y) {
    using namespace paddock;
    const Products* p = products(set);
    if (!p) return 1;
    if (!matrix_fits(*w) || rows < 1) return 2;
    try {
        std::unique_ptr<void, decltype(&std::free)> prepared(nullptr, &std::free);
        if (packed(*w)) {
            prepared.reset(std::aligned_alloc(64, (prepared_bytes(rows, w->k) + 63) / 64 * 64));
            if (!prepared) return 3;
        }
        const size_t k = w->k, n = w->n;
        const Activations a{x, k, rows, w->k, prepared.get()};
        constexpr int each_rows = 64, each_blocks = 4;
        if (packed(*w))
            share(threads, pieces(rows, each_rows), [&](int i) {
                p->prepare(a, i * each_rows, piece(rows, each_rows, i));
            });
        share(threads, pieces(blocks(*w), each_blocks), [&](int i) {
            const int first = i * each_blocks;
            p->product(
                *w, first, piece(blocks(*w), each_blocks, i), a, 0, rows,
                y + static_cast<size_t>(first) * block_outputs, n, false);
        });
        return 0;
    } catch (const std::bad_alloc&) {
        return 3;
    }
}

// out (k floats) = the weights of one output. 0, or 2 if there is no such output.
PADDOCK_EXPORT int paddock_row(const paddock::Matrix* w, int index, float* out) {
    if (!paddock::matrix_fits(*w) || index < 0 || index >= w->n) return 2;
    paddock::products(paddock::base)->row(*w, index, out);
    return 0;
}

// Quantizes an F32, BF16 or F16 matrix to `bits` (4 or 8), out being matrix_bytes of the result.
// 0, 1, 2, 3 as above; 4 if a weight is not finite, 5 if fp16 has no scale for one, and then
// *where is a block (16 outputs) that has one.
PADDOCK_EXPORT int paddock_quantize(
    int set, int threads, const paddock::Matrix* from, int bits, int search, void* out,
    int32_t* where) {
    using namespace paddock;
    const Products* p = products(set);
    if (!p) return 1;
    if (!matrix_fits(*from) || packed(*from) || from->k % group_inputs || (bits != 4 && bits != 8))
        return 2;
    const Matrix to{out, bits == 4 ? Q4 : Q8, from->n, from->k};
    std::atomic<int64_t> problem{-1};
    try {
        share(threads, blocks(to), [&](int block) {
            if (problem.load(std::memory_order_relaxed) >= 0) return;
            unsigned char* at = static_cast<unsigned char*>(out) +
                                static_cast<size_t>(block) * block_bytes(to);
            const Rounding found = p->round(*from, block, bits, search != 0, at);
            if (found != Rounding::done)
                problem.store(static_cast<int64_t>(block) << 8 | static_cast<int64_t>(found));
        });
    } catch (const std::bad_alloc&) {
        return 3;
    }
    if (problem < 0) return 0;
    *where = static_cast<int32_t>(problem >> 8);
    return (problem & 255) == static_cast<int64_t>(Rounding::not_finite) ? 4 : 5;
}

// Lays out the blocks of a GGUF tensor of type Q4_0 (bits 4) or Q8_0 (bits 8) of n rows of k weights:
// the same codes and the same scales. 0, 2 or 3 as above.
PADDOCK_EXPORT int paddock_repack(
    int threads, const void* from, int bits, int n, int k, void* out) {
    using namespace paddock;
    const Matrix to{out, bits == 4 ? Q4 : Q8, n, k};
    if (!matrix_fits(to) || (bits != 4 && bits != 8)) return 2;
    try {
        share(threads, blocks(to), [&](int block) {
            repack_block(to, static_cast<const unsigned char*>(from), block);
        });
        return 0;
    } catch (const std::bad_alloc&) {
        return 3;
    }
}

// The first group of a packed matrix's data, counted from its beginning, that has a scale which is
// not finite; -1 if there is none, -2 if memory is short.
PADDOCK_EXPORT int64_t paddock_bad_scale(int threads, const paddock::Matrix* matrix) {
    using namespace paddock;
    const int64_t groups = static_cast<int64_t>(blocks(*matrix)) * (matrix->k / group_inputs);
    const size_t size = block_bytes(*matrix) / (matrix->k / group_inputs);
    constexpr int64_t at_once = 1 << 14, ahead = 16;
    std::atomic<int64_t> bad{groups};
    try {
        share(threads, static_cast<int>((groups + at_once - 1) / at_once), [&](int chunk) {
            const int64_t first = chunk * at_once, end = std::min(first + at_once, groups);
            for (int64_t g = first; g < end; g++) {
                const auto* at = static_cast<const unsigned char*>(matrix->data) + g * size +
                                 size - 2 * block_outputs;
                __builtin_prefetch(at + ahead * size);  // one line of each group: no stream to see
                uint16_t h[block_outputs];
                std::memcpy(h, at, sizeof h);
                int found = 0;
                for (int i = 0; i < block_outputs; i++) found |= (h[i] & 0x7c00) == 0x7c00;
                if (!found) continue;
                int64_t before = bad.load();
                while (g < before && !bad.compare_exchange_weak(before, g)) {
                }
                return;
            }
        });
    } catch (const std::bad_alloc&) {
        return -2;
    }
    return bad < groups ? bad.load() : -1;
}
