// Weight matrices as files hold them, and their products with rows of fp32 activations: the
// interface between the forward pass and the kernels. Nothing here allocates, checks or throws;
// callers check every number before it gets here (matrix_fits) and own all memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace paddock {

// F32, BF16, F16: (n, k) row by row without gaps, as in weight files, aligned to their elements.
// Q8, Q4: the packed layout of checkpoint/packed.py, any alignment (64 is fastest).
enum Format : int32_t { F32 = 0, BF16 = 1, F16 = 2, Q8 = 3, Q4 = 4 };

struct Matrix {
    const void* data;
    int32_t format;  // a Format
    int32_t n, k;    // outputs, inputs
};

constexpr int block_outputs = 16;  // outputs of one block: products are handed out in blocks
constexpr int group_inputs = 32;   // inputs that share a scale (Q8, Q4, int8 activations)
constexpr int row_tile = 8;        // rows that lie side by side in prepared activations

inline bool packed(const Matrix& m) { return m.format == Q8 || m.format == Q4; }

inline int blocks(const Matrix& m) { return (m.n + block_outputs - 1) / block_outputs; }

// Bytes of one block: what a thread reads for 16 outputs.
inline size_t block_bytes(const Matrix& m) {
    const size_t k = static_cast<size_t>(m.k), groups = k / group_inputs;
    switch (m.format) {
        case Q4: return groups * (block_outputs * group_inputs / 2 + 2 * block_outputs);
        case Q8: return groups * (block_outputs * group_inputs + 2 * block_outputs);
        case F32: return k * block_outputs * 4;
        default: return k * block_outputs * 2;
    }
}

// Bytes of the whole matrix.
inline size_t matrix_bytes(const Matrix& m) {
    if (packed(m)) return static_cast<size_t>(blocks(m)) * block_bytes(m);
    return static_cast<size_t>(m.n) * m.k * (m.format == F32 ? 4 : 2);
}

// Whether a matrix of this format and shape exists.
inline bool matrix_fits(const Matrix& m) {
    return m.format >= F32 && m.format <= Q4 && m.n > 0 && m.k > 0 &&
           (!packed(m) || m.k % group_inputs == 0);
}

// The input of one or several products: `rows` rows of k floats, and their int8 form.
struct Activations {
    const float* x;  // row r begins at x + r * stride
    size_t stride;   // floats
    int32_t rows, k;
    // The int8 form that packed matrices are multiplied with, made by Products::prepare: prepared_bytes
    // of memory, aligned to 64. Null will do where no matrix is packed.
    void* prepared;
};

// int8 values, a scale of two words (products.h) and -8 times their sum: 44 bytes for 32 inputs. In
// tiles of row_tile rows (the last tile may have fewer), each tile group by group: R x 32 int8, R
// first words, R second words, R sums. Only the set that prepared it can read it.
constexpr size_t prepared_group_bytes = group_inputs + 12;

inline size_t prepared_bytes(int32_t rows, int32_t k) {
    return static_cast<size_t>(rows) * (k / group_inputs) * prepared_group_bytes;
}

// What came of quantizing: weights that are not finite, or so large that fp16 holds no scale for them,
// cannot be.
enum class Rounding : int32_t { done = 0, not_finite = 1, beyond_fp16 = 2 };

// The functions of one instruction set. All are pure and may run on several threads at once.
struct Products {
    const char* name;

    // Makes the int8 form of rows first_row .. first_row + rows - 1 (any range).
    void (*prepare)(const Activations&, int first_row, int rows);

    // y[r * y_stride + o] = (or += if add) w[16 * first_block + o] . x[first_row + r] for the outputs
    // of blocks first_block .. first_block + blocks - 1 that exist (the last block may have fewer
    // than 16) and rows r in 0 .. rows - 1. first_row is a multiple of row_tile. What a row gets does
    // not depend, bit for bit, on the other rows, nor on how blocks and rows are handed out.
    // A row with a NaN or an infinity gets NaN from packed matrices; none of the finite numbers that
    // are read beside it changes.
    void (*product)(
        const Matrix& w, int first_block, int blocks, const Activations& a, int first_row, int rows,
        float* y, size_t y_stride, bool add);

    // The k weights of one output as fp32: a row of an embedding table.
    void (*row)(const Matrix& w, int index, float* out);

    // Quantizes one block of an F32, BF16 or F16 matrix whose k is a multiple of 32: to `bits` (4 or
    // 8) in the packed layout, at `out`, where the block begins.
    Rounding (*round)(const Matrix& w, int block, int bits, bool search, void* out);
};

// Instruction sets by number; `best` is the best this CPU has. avx512amd has the instructions of
// avx512vnni and is the faster of the two where multiplying is what the CPU has too little of.
enum Set : int32_t {
    best = 0,
    base = 1,
    avx2 = 2,
    avxvnni = 3,
    avx512vnni = 4,
    dotprod = 5,
    avx512amd = 6
};

// Null if this CPU, or this build, lacks the set.
const Products* products(int32_t set);

}  // namespace paddock
