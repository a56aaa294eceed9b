// Rounds a block of 16 outputs to 4 or 8 bits in the packed layout, one output per lane. Included by
// products.h once per instruction set, in namespace PADDOCK_SET. Hence no include guard.
//
// A group's scale is searched for as checkpoint/quantize.py does it, the candidates being those of
// make_qx_quants in llama.cpp: the weight of the largest magnitude is tried on 19 levels about the
// lowest one, each time the scale with the least squared error for the levels found is x.q / q.q, and
// of all these the best is kept, unless its fp16 rounding is worse than the plain scale's.

// fp16 bits, rounded to nearest even, of finite numbers; infinity beyond what fp16 reaches.
PADDOCK_INLINE ivec to_halves(vec v) {
    const ivec bits = (ivec)v, size = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    const ivec normal = (size + 0xfff + (size >> 13 & 1) - (112 << 23)) >> 13;
    const ivec magic = ivec{} + (126 << 23);  // 0.5, whose last bit is the last of fp16
    const ivec small = (ivec)((vec)size + (vec)magic) - magic;
    const ivec half = size < (113 << 23) ? small : normal;
    return (size >= (143 << 23) ? ivec{} + 0x7c00 : half) | sign;
}

// What to_halves gives as fp32.
PADDOCK_INLINE vec from_halves(ivec h) {
    const ivec size = h & 0x7fff, sign = (h & 0x8000) << 16;
    const vec small = floats(size) * 0x1p-24f;
    return (vec)((size < 0x400 ? (ivec)small : (size << 13) + (112 << 23)) | sign);
}

PADDOCK_INLINE vec magnitude(vec v) { return (vec)((ivec)v & 0x7fffffff); }

// 1 / v, and 0 for what is far below the smallest scale.
PADDOCK_INLINE vec inverse(vec v) { return magnitude(v) > 1e-30f ? 1.0f / v : vec{}; }

// x * scale rounded to a level; |x * scale| < 2^22.
template <int Bits>
PADDOCK_INLINE vec level(vec x, vec scale) {
    const vec low = all(-static_cast<float>(1 << (Bits - 1))), high = -1.0f - low;
    const vec magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    vec q = (x * scale + magic) - magic;
    q = q < low ? low : q;
    return q > high ? high : q;
}

template <int Bits>
PADDOCK_INLINE vec squared_error(const vec x[group_inputs], vec scale) {
    const vec by = inverse(scale);
    vec error = {};
    for (int i = 0; i < group_inputs; i++) {
        const vec rest = x[i] - level<Bits>(x[i], by) * scale;
        error += rest * rest;
    }
    return error;
}

template <int Bits>
PADDOCK_INLINE vec searched(const vec x[group_inputs], vec largest) {
    constexpr float low = -static_cast<float>(1 << (Bits - 1));
    const vec by = inverse(largest);
    vec best = {}, gain = all(-1.0f);
    for (int step = -9; step <= 9; step++) {
        const vec scale = by * (low + static_cast<float>(step) / 10);
        vec xq = {}, qq = {};
        for (int i = 0; i < group_inputs; i++) {
            const vec q = level<Bits>(x[i], scale);
            xq = fused(x[i], q, xq);
            qq = fused(q, q, qq);
        }
        const vec found = xq * inverse(qq);
        const auto better = xq * found > gain;
        best = better ? found : best;
        gain = better ? xq * found : gain;
    }
    return best;
}

// The codes of W outputs, whose bytes begin at `out`.
template <int Bits>
PADDOCK_INLINE void put_codes(const vec x[group_inputs], vec scale, unsigned char* out) {
    const vec by = inverse(scale);
    for (int j = 0; j < Bits; j++) {
        ivec word = {};
        for (int i = 0; i < 4; i++) {
            const int at = (Bits == 4 ? 8 : 4) * j + i;
            ivec code = __builtin_convertvector(level<Bits>(x[at], by), ivec);
            if (Bits == 4) {
                const ivec next = __builtin_convertvector(level<Bits>(x[at + 4], by), ivec);
                code = (code + 8) | (next + 8) << 4;
            }
            word |= (code & 255) << 8 * i;
        }
        memcpy(out + 64 * j, &word, sizeof word);
    }
}

// x: inputs by outputs. The last of `n` outputs and all after it may be missing: scale 0.
template <int Bits>
PADDOCK_INLINE Rounding round_group(
    const float x[group_inputs][block_outputs], int n, bool search, unsigned char* out) {
    ivec problem = {}, beyond = {};
    for (int part = 0; part < block_outputs; part += W) {
        vec values[group_inputs];
        vec largest = {};
        for (int i = 0; i < group_inputs; i++) {
            values[i] = load(x[i] + part);
            // As integers: NaN is larger than anything.
            const auto more = ((ivec)values[i] & 0x7fffffff) > ((ivec)largest & 0x7fffffff);
            largest = more ? values[i] : largest;
        }
        problem |= ((ivec)largest & 0x7fffffff) >= 0x7f800000;
        ivec half = to_halves(largest / -static_cast<float>(1 << (Bits - 1)));
        beyond |= (half & 0x7fff) >= 0x7c00;
        if (search) {
            const ivec other = to_halves(searched<Bits>(values, largest));
            beyond |= (other & 0x7fff) >= 0x7c00;
            half = squared_error<Bits>(values, from_halves(other)) <
                           squared_error<Bits>(values, from_halves(half))
                       ? other
                       : half;
        }
        put_codes<Bits>(values, from_halves(half), out + 4 * part);
        for (int o = 0; o < W; o++) {
            const auto bits = static_cast<uint16_t>(part + o < n ? half[o] : 0);
            memcpy(out + 64 * Bits + 2 * (part + o), &bits, 2);
        }
    }
    for (int o = 0; o < W; o++) {
        if (problem[o]) return Rounding::not_finite;
        if (beyond[o]) return Rounding::beyond_fp16;
    }
    return Rounding::done;
}

template <int Kind, int Bits>
static Rounding round_rows(const Matrix& w, int block, bool search, unsigned char* out) {
    const size_t k = w.k, first = static_cast<size_t>(block) * block_outputs;
    const int n = w.n - static_cast<int>(first) < block_outputs ? w.n - static_cast<int>(first)
                                                                : block_outputs;
    alignas(64) float x[group_inputs][block_outputs] = {};
    for (size_t i = 0; i < k; i += group_inputs, out += 64 * Bits + 2 * block_outputs) {
        for (int o = 0; o < n; o++) {
            alignas(64) float row[group_inputs];
            for (int j = 0; j < group_inputs; j += W)
                store(row + j, weights<Kind>(w.data, (first + o) * k + i + j));
            for (int j = 0; j < group_inputs; j++) x[j][o] = row[j];
        }
        const Rounding found = round_group<Bits>(x, n, search, out);
        if (found != Rounding::done) return found;
    }
    return Rounding::done;
}

template <int Bits>
static Rounding round_kind(const Matrix& w, int block, bool search, unsigned char* out) {
    if (w.format == F32) return round_rows<F32, Bits>(w, block, search, out);
    if (w.format == BF16) return round_rows<BF16, Bits>(w, block, search, out);
    return round_rows<F16, Bits>(w, block, search, out);
}

static Rounding round(const Matrix& w, int block, int bits, bool search, void* out) {
    unsigned char* to = static_cast<unsigned char*>(out);
    return bits == 4 ? round_kind<4>(w, block, search, to) : round_kind<8>(w, block, search, to);
}
