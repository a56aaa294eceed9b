// Random products with every array in an allocation of exactly its size, so that a sanitizer sees any
// step outside; scripts/check_native.sh builds and runs it. Every instruction set that this CPU has
// is compared with float64, and each row with the same row computed alone and in pieces.
// Usage: check_products [CASES] [FIRST_SEED]

#include "matrix.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

using namespace paddock;

namespace {

const char* const formats[] = {"F32", "BF16", "F16", "Q8", "Q4"};

// Arrays at the end of an allocation of exactly their size.
template <typename T>
std::unique_ptr<T[]> exact(size_t n) {
    return std::unique_ptr<T[]>(new T[n]);
}

struct Case {
    std::mt19937 random;
    Matrix w{};
    int rows = 0;
    std::unique_ptr<unsigned char[]> data;
    std::unique_ptr<float[]> x;
    size_t stride = 0;

    int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

    explicit Case(unsigned seed) : random(seed) {
        w.format = pick(F32, Q4);
        w.n = pick(1, 257);
        w.k = packed(w) ? 32 * pick(1, 8) : pick(1, 257);
        rows = pick(1, 40);
        stride = w.k + (pick(0, 1) ? pick(0, 9) : 0);
        data = exact<unsigned char>(matrix_bytes(w));
        w.data = data.get();
        fill();
        const size_t n = (rows - 1) * stride + w.k;
        x = exact<float>(n);
        std::normal_distribution<float> normal;
        const float scale = std::ldexp(1.0f, pick(-20, 20));
        for (size_t i = 0; i < n; i++) x[i] = normal(random) * scale;
        if (pick(0, 3) == 0)  // a group of zeros, and one that is tiny
            for (int i = 0; i < std::min(w.k, 32); i++) x[i] = pick(0, 1) ? 0 : 1e-40f;
    }

    // Extreme codes are frequent; scales are of both signs, zero and subnormal ones among them.
    void fill() {
        if (w.format == F32) {
            std::normal_distribution<float> normal;
            for (size_t i = 0; i < matrix_bytes(w) / 4; i++) {
                const float f = normal(random);
                std::memcpy(&data[4 * i], &f, 4);
            }
        } else if (!packed(w)) {
            for (size_t i = 0; i < matrix_bytes(w) / 2; i++) {
                const int exponent = w.format == F16 ? pick(0, 20) << 10 : pick(90, 130) << 7;
                const int mantissa = pick(0, w.format == F16 ? 1023 : 127);
                const auto h = static_cast<uint16_t>(pick(0, 1) << 15 | exponent | mantissa);
                std::memcpy(&data[2 * i], &h, 2);
            }
        } else {
            const size_t codes = w.format == Q4 ? 256 : 512;
            const int kind = pick(0, 3);
            for (size_t i = 0; i < matrix_bytes(w); i += codes + 32) {
                for (size_t j = 0; j < codes; j++)
                    data[i + j] = kind == 0   ? 0x80
                                  : kind == 1 ? (pick(0, 1) ? 0x7f : 0x80)
                                              : static_cast<unsigned char>(pick(0, 255));
                for (size_t j = codes; j < codes + 32; j += 2) {
                    const auto h = static_cast<uint16_t>(pick(0, 1) << 15 | pick(0, 18 << 10));
                    std::memcpy(&data[i + j], &h, 2);
                }
            }
        }
    }

    // prepare and product in pieces of at most these sizes.
    std::vector<float> run(const Products& p, int piece_blocks, int piece_rows, bool add) const {
        auto prepared = std::unique_ptr<void, decltype(&std::free)>(
            std::aligned_alloc(64, (prepared_bytes(rows, w.k) + 63) / 64 * 64), &std::free);
        const Activations a{x.get(), stride, rows, w.k, packed(w) ? prepared.get() : nullptr};
        if (packed(w))
            for (int r = 0; r < rows; r += 3) p.prepare(a, r, std::min(3, rows - r));
        const size_t n = w.n;
        auto y = exact<float>(rows * n);
        for (size_t i = 0; i < rows * n; i++) y[i] = add ? 1.0f : NAN;
        for (int r = 0; r < rows; r += piece_rows)
            for (int b = 0; b < blocks(w); b += piece_blocks)
                p.product(
                    w, b, std::min(piece_blocks, blocks(w) - b), a, r, std::min(piece_rows, rows - r),
                    &y[r * n + b * block_outputs], n, add);
        return {y.get(), y.get() + rows * n};
    }

    std::vector<float> alone(const Products& p, int row) const {
        auto prepared = std::unique_ptr<void, decltype(&std::free)>(
            std::aligned_alloc(64, (prepared_bytes(1, w.k) + 63) / 64 * 64), &std::free);
        const Activations a{x.get() + row * stride, stride, 1, w.k, prepared.get()};
        if (packed(w)) p.prepare(a, 0, 1);
        auto y = exact<float>(w.n);
        p.product(w, 0, blocks(w), a, 0, 1, y.get(), w.n, false);
        return {y.get(), y.get() + w.n};
    }

    // The largest error against float64, in units of what is allowed: fp32's own and, where the matrix
    // is packed, the activations' rounding to 8 bits: half a step of each group, a step being 1.2 / 127
    // of the largest number at most.
    double error(const Products& p, const std::vector<float>& y) const {
        double worst = 0;
        auto row = exact<float>(w.k);
        for (int o = 0; o < w.n; o++) {
            p.row(w, o, row.get());
            for (int r = 0; r < rows; r++) {
                double want = 0, size = 0, allowed = 1e-33;
                for (int i = 0; i < w.k; i++) {
                    if (i % group_inputs == 0) {
                        size = 0;
                        for (int j = i; j < std::min(w.k, i + group_inputs); j++)
                            size = std::max(size, std::fabs(double(x[r * stride + j])));
                    }
                    const double a = x[r * stride + i];
                    want += row[i] * a;
                    allowed += std::fabs(row[i]) *
                               (packed(w) ? size * (0.6 / 127) : std::fabs(a) * 2e-6);
                }
                const double off = std::fabs(y[static_cast<size_t>(r) * w.n + o] - want) / allowed;
                worst = std::isfinite(off) ? std::max(worst, off) : INFINITY;
            }
        }
        return worst;
    }
};

// NaN or infinity in one row makes that row NaN, and changes no other.
bool poison(const Products& p, Case& c) {
    if (!packed(c.w)) return true;
    const std::vector<float> before = c.run(p, 3, 16, false);
    const int row = c.pick(0, c.rows - 1), at = c.pick(0, c.w.k - 1);
    float& x = c.x[row * c.stride + at];
    const float kept = x;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    x = bad[c.pick(0, 2)];
    const std::vector<float> after = c.run(p, 3, 16, false);
    x = kept;
    for (int r = 0; r < c.rows; r++)
        for (int o = 0; o < c.w.n; o++) {
            const size_t i = static_cast<size_t>(r) * c.w.n + o;
            if (r == row ? !std::isnan(after[i]) : after[i] != before[i]) return false;
        }
    return true;
}

extern "C" int paddock_repack(int, const void*, int, int, int, void*);

// Rounding comes within two steps of the weights (the ends of the range are cut off), GGUF's blocks
// keep their bytes, and neither leaves its arrays.
bool rounds(const Products& p, Case& c) {
    const int bits = c.pick(0, 1) ? 4 : 8, n = c.pick(1, 40), k = 32 * c.pick(1, 4);
    auto data = exact<float>(static_cast<size_t>(n) * k);
    std::normal_distribution<float> normal;
    for (int i = 0; i < n * k; i++) data[i] = normal(c.random);
    const Matrix from{data.get(), F32, n, k};
    Matrix to{nullptr, bits == 4 ? Q4 : Q8, n, k};
    auto out = exact<unsigned char>(matrix_bytes(to));
    to.data = out.get();
    for (int b = 0; b < blocks(to); b++)
        if (p.round(from, b, bits, c.pick(0, 1), out.get() + b * block_bytes(to)) != Rounding::done)
            return false;
    auto row = exact<float>(k);
    for (int o = 0; o < n; o++) {
        p.row(to, o, row.get());
        for (int i = 0; i < k; i++) {
            float size = 0;
            for (int j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
                size = std::max(size, std::fabs(data[o * k + j]));
            if (!(std::fabs(row[i] - data[o * k + i]) <= size / (1 << (bits - 2))))
                return false;
        }
    }
    const size_t size = static_cast<size_t>(n) * (k / 32) * (2 + 4 * bits);
    auto gguf = exact<unsigned char>(size);
    for (size_t i = 0; i < size; i++) gguf[i] = static_cast<unsigned char>(c.pick(0, 255));
    if (paddock_repack(2, gguf.get(), bits, n, k, out.get())) return false;
    for (int o = 0; o < n; o++)
        for (int g = 0; g < k / 32; g++) {
            const unsigned char* block = &gguf[(static_cast<size_t>(o) * (k / 32) + g) * (2 + 4 * bits)];
            const unsigned char* group = out.get() + o / 16 * block_bytes(to) +
                                         g * (block_bytes(to) / (k / 32));
            if (std::memcmp(block, group + 64 * bits + 2 * (o % 16), 2)) return false;
            for (int i = 0; i < 32; i++) {
                const int byte = block[2 + (bits == 4 ? i % 16 : i)];
                const int code = bits == 8 ? byte : i < 16 ? byte & 15 : byte >> 4;
                const int found = group[(bits == 4 ? i / 8 : i / 4) * 64 + o % 16 * 4 + i % 4];
                if ((bits == 8 ? found : i % 8 < 4 ? found & 15 : found >> 4) != code) return false;
            }
        }
    return true;
}

int fail(unsigned seed, const Case& c, const Products& p, const char* what) {
    std::printf("case %u, %s: %s, n %d, k %d, rows %d: %s\n", seed, p.name, formats[c.w.format],
                c.w.n, c.w.k, c.rows, what);
    return 1;
}

}  // namespace

int main(int count, char** values) {
    const unsigned cases = count > 1 ? static_cast<unsigned>(std::atoi(values[1])) : 300;
    const unsigned first = count > 2 ? static_cast<unsigned>(std::atoi(values[2])) : 0;
    std::vector<const Products*> sets;
    for (int32_t set = base; set <= avx512amd; set++)
        if (products(set)) sets.push_back(products(set));
    double worst = 0;
    for (unsigned seed = first; seed < first + cases; seed++) {
        Case c(seed);
        for (const Products* p : sets) {
            const std::vector<float> y = c.run(*p, 1000, 1000, false);
            const double error = c.error(*p, y);
            worst = std::max(worst, error);
            if (error > 1) return fail(seed, c, *p, "too far from float64");
            if (y != c.run(*p, c.pick(1, 5), 8 * c.pick(1, 3), false))
                return fail(seed, c, *p, "pieces change the result");
            const int row = c.pick(0, c.rows - 1);
            const std::vector<float> one = c.alone(*p, row);
            if (std::memcmp(one.data(), &y[static_cast<size_t>(row) * c.w.n], 4 * one.size()))
                return fail(seed, c, *p, "other rows change the result");
            const std::vector<float> added = c.run(*p, 2, 8, true);
            for (size_t i = 0; i < y.size(); i++)
                if (added[i] != 1.0f + y[i]) return fail(seed, c, *p, "add is not add");
            if (!poison(*p, c)) return fail(seed, c, *p, "NaN is lost or spreads");
            if (!rounds(*p, c)) return fail(seed, c, *p, "rounding or repacking is wrong");
        }
    }
    std::printf("%u cases, error up to %.2f of what is allowed, sets:", cases, worst);
    for (const Products* p : sets) std::printf(" %s;", p->name);
    std::printf("\n");
    return 0;
}
