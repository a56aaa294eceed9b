// Products of weight matrices for every instruction set, and the choice between them.

#include "matrix.h"

#include <cmath>
#include <cstring>

namespace paddock {
namespace {

float half(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
    const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * static_cast<float>(mantissa) * 0x1p-24f;
    const uint32_t bits =
        sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

float bfloat(uint16_t h) {
    const uint32_t bits = static_cast<uint32_t>(h) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

struct Place {
    signed char* q;
    unsigned char *scale, *sum;
};

Place place(const Activations& a, int row, int group) {
    const int tile = row / row_tile, left = a.rows - tile * row_tile;
    const int size = left < row_tile ? left : row_tile, r = row % row_tile;
    unsigned char* p = static_cast<unsigned char*>(a.prepared) +
                       prepared_group_bytes * (static_cast<size_t>(tile) * row_tile *
                                                   (a.k / group_inputs) +
                                               static_cast<size_t>(group) * size);
    return {reinterpret_cast<signed char*>(p) + r * group_inputs, p + size * group_inputs + r * 4,
            p + size * (group_inputs + 4) + r * 4};
}

void prepare(const Activations& a, int first_row, int rows) {
    for (int row = first_row; row < first_row + rows; row++) {
        for (int g = 0; g < a.k / group_inputs; g++) {
            const float* x = a.x + row * a.stride + g * group_inputs;
            const Place to = place(a, row, g);
            float most = 0;
            bool finite = true;
            for (int i = 0; i < group_inputs; i++) {
                most = std::fabs(x[i]) > most ? std::fabs(x[i]) : most;
                finite = finite && std::isfinite(x[i]);
            }
            float scale = finite ? most / 127 : NAN;
            const float inverse = finite && most > 1e-36f ? 127 / most : 0;
            if (finite && inverse == 0) scale = 0;
            int32_t sum = 0;
            for (int i = 0; i < group_inputs; i++) {
                to.q[i] = finite ? static_cast<signed char>(std::nearbyint(x[i] * inverse)) : 0;
                sum += to.q[i];
            }
            sum *= -8;
            std::memcpy(to.scale, &scale, 4);
            std::memcpy(to.sum, &sum, 4);
        }
    }
}

// Weight i of output o of a group, as an integer.
int weight(const unsigned char* group, int format, int o, int i) {
    if (format == Q8) return static_cast<signed char>(group[i / 4 * 64 + o * 4 + i % 4]);
    const int byte = group[i / 8 * 64 + o * 4 + i % 4];
    return (i % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

const unsigned char* group_of(const Matrix& w, int block, int group) {
    return static_cast<const unsigned char*>(w.data) + block * block_bytes(w) +
           group * (block_bytes(w) / (w.k / group_inputs));
}

float scale_of(const Matrix& w, const unsigned char* group, int o) {
    uint16_t h;
    std::memcpy(&h, group + (w.format == Q4 ? 256 : 512) + 2 * o, 2);
    return half(h);
}

float dot(const Matrix& w, int output, const Activations& a, int row) {
    float total = 0;
    if (packed(w)) {
        for (int g = 0; g < w.k / group_inputs; g++) {
            const unsigned char* group = group_of(w, output / block_outputs, g);
            const Place from = place(a, row, g);
            int32_t sum = 0;
            for (int i = 0; i < group_inputs; i++)
                sum += weight(group, w.format, output % block_outputs, i) * from.q[i];
            float scale;
            std::memcpy(&scale, from.scale, 4);
            total += static_cast<float>(sum) * (scale_of(w, group, output % block_outputs) * scale);
        }
        return total;
    }
    const float* x = a.x + row * a.stride;
    const size_t first = static_cast<size_t>(output) * w.k;
    for (int i = 0; i < w.k; i++) {
        if (w.format == F32) {
            total += static_cast<const float*>(w.data)[first + i] * x[i];
        } else {
            const uint16_t h = static_cast<const uint16_t*>(w.data)[first + i];
            total += (w.format == F16 ? half(h) : bfloat(h)) * x[i];
        }
    }
    return total;
}

void product(
    const Matrix& w, int first_block, int n_blocks, const Activations& a, int first_row, int rows,
    float* y, size_t y_stride, bool add) {
    const int first = first_block * block_outputs, end = (first_block + n_blocks) * block_outputs;
    for (int o = first; o < end && o < w.n; o++) {
        for (int r = 0; r < rows; r++) {
            float* to = y + r * y_stride + (o - first);
            const float value = dot(w, o, a, first_row + r);
            *to = add ? *to + value : value;
        }
    }
}

void row(const Matrix& w, int index, float* out) {
    const size_t first = static_cast<size_t>(index) * w.k;
    for (int i = 0; i < w.k; i++) {
        if (packed(w)) {
            const unsigned char* group = group_of(w, index / block_outputs, i / group_inputs);
            const int o = index % block_outputs;
            out[i] = static_cast<float>(weight(group, w.format, o, i % group_inputs)) *
                     scale_of(w, group, o);
        } else if (w.format == F32) {
            out[i] = static_cast<const float*>(w.data)[first + i];
        } else {
            const uint16_t h = static_cast<const uint16_t*>(w.data)[first + i];
            out[i] = w.format == F16 ? half(h) : bfloat(h);
        }
    }
}

const Products portable = {"portable", prepare, product, row};

}  // namespace

const Products* products(int32_t set) { return set == best || set == base ? &portable : nullptr; }

}  // namespace paddock
