// How keys and values lie in memory: the layout between the forward pass and attention.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace paddock {

struct Half {
    uint16_t bits;
};

inline float to_float(Half h) {
    const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000) << 16;
    const uint32_t exponent = h.bits >> 10 & 31, mantissa = h.bits & 1023;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * static_cast<float>(mantissa) * 0x1p-24f;
    const uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

// To the nearest, ties to even; what is too large becomes an infinity.
inline Half to_half(float f) {
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    const uint32_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    uint32_t h;
    if (bits > 0x7f800000) {
        h = 0x7e00;
    } else if (bits >= 0x477ff000) {  // 65520 and more
        h = 0x7c00;
    } else if (bits < 0x38800000) {  // below 2^-14: adding 1/2 leaves multiples of 2^-24
        float magnitude;
        std::memcpy(&magnitude, &bits, 4);
        magnitude += 0.5f;
        std::memcpy(&h, &magnitude, 4);
        h -= 0x3f000000;
    } else {
        h = (bits + 0xfff + (bits >> 13 & 1)) - 0x38000000;
        h >>= 13;
    }
    return {static_cast<uint16_t>(sign | h)};
}

enum CacheFormat : int32_t { CacheF32 = 0, CacheF16 = 1, CacheI8 = 2 };

constexpr int run = 16;  // positions whose keys lie side by side

// The cache of all layers, as declared in library.py, field by field. A head of a page has its keys
// in runs of 16 positions, each (head_dim, 16): one load is one element of 16 keys, so scores need
// no sums across a vector. Then its values, (positions, head_dim). Pages are filled up to whole runs.
// Int8 has one fp32 scale for each position's key and value of each head, in `scales`.
struct Cache {
    void* data;
    float* scales;
    int32_t format;
    int32_t n_pages, page_size, n_kv_heads, head_dim;

    size_t positions() const { return static_cast<size_t>(page_size + run - 1) / run * run; }

    size_t item() const { return format == CacheF32 ? 4 : format == CacheF16 ? 2 : 1; }

    // In positions from the beginning; `side` 0 is keys, 1 values.
    size_t place(int layer, int32_t page, int head, int side) const {
        const size_t pages = static_cast<size_t>(layer) * n_pages + page;
        return ((pages * n_kv_heads + head) * 2 + side) * positions();
    }

    // Keys or values from `offset` in the page on, a multiple of 16.
    char* at(int layer, int32_t page, int head, int side, size_t offset) const {
        return static_cast<char*>(data) +
               (place(layer, page, head, side) + offset) * head_dim * item();
    }

    float* scale(int layer, int32_t page, int head, int side, size_t offset) const {
        return scales + place(layer, page, head, side) + offset;
    }
};

}  // namespace paddock
