// Integer products of one group (32 inputs) of a block with R rows of int8 activations, written for
// each kind of instruction; included by products.cpp once per set, in namespace PADDOCK_SET. Hence no
// include guard. All sums are exact, so all kinds give the same integers.
//
// dots<R, Four>(group, q, sums, out): `group` is where the first of the PADDOCK_WIDTH outputs wanted
// begins, q are R rows of 32 inputs, sums their sums times -8, which is what weights read as unsigned
// (q + 8) are too large by.

#if PADDOCK_DOTS == PADDOCK_VNNI512

template <int R, bool Four>
PADDOCK_INLINE void dots(
    const unsigned char* group, const signed char* q, const int32_t* sums, ivec out[R]) {
    __m512i total[R];
    PADDOCK_UNROLL for (int r = 0; r < R; r++)  // 8-bit weights are read as q + 128
        total[r] = _mm512_set1_epi32(Four ? sums[r] : sums[r] * 16);
    PADDOCK_UNROLL for (int j = 0; j < (Four ? 4 : 8); j++) {
        const __m512i v = _mm512_loadu_si512(group + 64 * j), low = _mm512_set1_epi8(15);
        const __m512i first = Four ? _mm512_and_si512(v, low)
                                   : _mm512_xor_si512(v, _mm512_set1_epi8(-128));
        PADDOCK_UNROLL for (int r = 0; r < R; r++)
            total[r] = _mm512_dpbusd_epi32(
                total[r], first, _mm512_set1_epi32(four(q + 32 * r + (Four ? 8 : 4) * j)));
        if (!Four) continue;
        const __m512i second = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
        PADDOCK_UNROLL for (int r = 0; r < R; r++)
            total[r] = _mm512_dpbusd_epi32(
                total[r], second, _mm512_set1_epi32(four(q + 32 * r + 8 * j + 4)));
    }
    PADDOCK_UNROLL for (int r = 0; r < R; r++) out[r] = (ivec)total[r];
}

#elif PADDOCK_DOTS == PADDOCK_VNNI256

template <int R, bool Four>
PADDOCK_INLINE void dots(
    const unsigned char* group, const signed char* q, const int32_t* sums, ivec out[R]) {
    __m256i total[R];
    PADDOCK_UNROLL for (int r = 0; r < R; r++)  // 8-bit weights are read as q + 128
        total[r] = _mm256_set1_epi32(Four ? sums[r] : sums[r] * 16);
    PADDOCK_UNROLL for (int j = 0; j < (Four ? 4 : 8); j++) {
        const __m256i v = load256(group + 64 * j), low = _mm256_set1_epi8(15);
        const __m256i first = Four ? _mm256_and_si256(v, low)
                                   : _mm256_xor_si256(v, _mm256_set1_epi8(-128));
        PADDOCK_UNROLL for (int r = 0; r < R; r++)
            total[r] = _mm256_dpbusd_avx_epi32(
                total[r], first, _mm256_set1_epi32(four(q + 32 * r + (Four ? 8 : 4) * j)));
        if (!Four) continue;
        const __m256i second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        PADDOCK_UNROLL for (int r = 0; r < R; r++)
            total[r] = _mm256_dpbusd_avx_epi32(
                total[r], second, _mm256_set1_epi32(four(q + 32 * r + 8 * j + 4)));
    }
    PADDOCK_UNROLL for (int r = 0; r < R; r++) out[r] = (ivec)total[r];
}

#elif PADDOCK_DOTS == PADDOCK_MADDUBS

// vpmaddubsw adds two products in 16 bits and saturates. 4 bits: all 16 products of a lane are at
// most 16 * 15 * 127 = 30480. 8 bits: |q| times the activation with q's sign, a pair is at most
// 2 * 128 * 127 = 32512, and pairs are widened at once.
template <int R, bool Four>
PADDOCK_INLINE void dots(
    const unsigned char* group, const signed char* q, const int32_t* sums, ivec out[R]) {
    const __m256i ones = _mm256_set1_epi16(1), low = _mm256_set1_epi8(15);
    __m256i total[R];
    PADDOCK_UNROLL for (int r = 0; r < R; r++) total[r] = _mm256_setzero_si256();
    PADDOCK_UNROLL for (int j = 0; j < (Four ? 4 : 8); j++) {
        const __m256i v = load256(group + 64 * j);
        if (Four) {
            const __m256i first = _mm256_and_si256(v, low);
            const __m256i second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
            PADDOCK_UNROLL for (int r = 0; r < R; r++) {
                const __m256i a = _mm256_set1_epi32(four(q + 32 * r + 8 * j));
                const __m256i b = _mm256_set1_epi32(four(q + 32 * r + 8 * j + 4));
                total[r] = _mm256_add_epi16(total[r], _mm256_maddubs_epi16(first, a));
                total[r] = _mm256_add_epi16(total[r], _mm256_maddubs_epi16(second, b));
            }
        } else {
            const __m256i size = _mm256_abs_epi8(v);
            PADDOCK_UNROLL for (int r = 0; r < R; r++) {
                const __m256i a = _mm256_set1_epi32(four(q + 32 * r + 4 * j));
                const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(a, v));
                total[r] = _mm256_add_epi32(total[r], _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    PADDOCK_UNROLL for (int r = 0; r < R; r++) {
        if (Four)
            total[r] = _mm256_add_epi32(_mm256_madd_epi16(total[r], ones), _mm256_set1_epi32(sums[r]));
        out[r] = (ivec)total[r];
    }
}

#elif PADDOCK_DOTS == PADDOCK_SSE2

// Everything is widened to 16 bits; a register holds half sums of two outputs.
template <int R, bool Four>
PADDOCK_INLINE void dots(
    const unsigned char* group, const signed char* q, const int32_t* sums, ivec out[R]) {
    const __m128i zero = _mm_setzero_si128(), low = _mm_set1_epi8(15);
    __m128i left[R], right[R];
    PADDOCK_UNROLL for (int r = 0; r < R; r++) left[r] = right[r] = zero;
    PADDOCK_UNROLL for (int j = 0; j < 8; j++) {
        const __m128i v = _mm_loadu_si128(
            reinterpret_cast<const __m128i*>(group + 64 * (Four ? j / 2 : j)));
        const __m128i w = !Four ? v : _mm_and_si128(j % 2 ? _mm_srli_epi16(v, 4) : v, low);
        const __m128i sign = Four ? zero : _mm_cmpgt_epi8(zero, w);
        const __m128i a = _mm_unpacklo_epi8(w, sign), b = _mm_unpackhi_epi8(w, sign);
        PADDOCK_UNROLL for (int r = 0; r < R; r++) {
            const __m128i x = _mm_set1_epi32(four(q + 32 * r + 4 * j));
            const __m128i wide = _mm_unpacklo_epi8(x, _mm_cmpgt_epi8(zero, x));
            left[r] = _mm_add_epi32(left[r], _mm_madd_epi16(a, wide));
            right[r] = _mm_add_epi32(right[r], _mm_madd_epi16(b, wide));
        }
    }
    PADDOCK_UNROLL for (int r = 0; r < R; r++) {
        const __m128 a = _mm_castsi128_ps(left[r]), b = _mm_castsi128_ps(right[r]);
        const __m128i even = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
        const __m128i odd = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1)));
        out[r] = (ivec)_mm_add_epi32(even, odd) + (Four ? sums[r] : 0);
    }
}

#elif PADDOCK_DOTS == PADDOCK_SDOT

template <int R, bool Four>
PADDOCK_INLINE void dots(
    const unsigned char* group, const signed char* q, const int32_t* sums, ivec out[R]) {
    int32x4_t total[R];
    PADDOCK_UNROLL for (int r = 0; r < R; r++) total[r] = vdupq_n_s32(Four ? sums[r] : 0);
    PADDOCK_UNROLL for (int j = 0; j < 8; j++) {
        const uint8x16_t v = vld1q_u8(group + 64 * (Four ? j / 2 : j));
        const int8x16_t w = vreinterpretq_s8_u8(
            !Four ? v : j % 2 ? vshrq_n_u8(v, 4) : vandq_u8(v, vdupq_n_u8(15)));
        PADDOCK_UNROLL for (int r = 0; r < R; r++)
            total[r] = vdotq_s32(
                total[r], w, vreinterpretq_s8_s32(vdupq_n_s32(four(q + 32 * r + 4 * j))));
    }
    PADDOCK_UNROLL for (int r = 0; r < R; r++) out[r] = (ivec)total[r];
}

#elif PADDOCK_DOTS == PADDOCK_NEON

// 16-bit sums: eight products of 15 * 127 with 4 bits, two of 128 * 127 with 8.
template <int R, bool Four>
PADDOCK_INLINE void dots(
    const unsigned char* group, const signed char* q, const int32_t* sums, ivec out[R]) {
    int16x8_t left[R], right[R];
    int32x4_t left4[R], right4[R];
    PADDOCK_UNROLL for (int r = 0; r < R; r++) {
        left[r] = right[r] = vdupq_n_s16(0);
        left4[r] = right4[r] = vdupq_n_s32(0);
    }
    PADDOCK_UNROLL for (int j = 0; j < 8; j++) {
        const uint8x16_t v = vld1q_u8(group + 64 * (Four ? j / 2 : j));
        const int8x16_t w = vreinterpretq_s8_u8(
            !Four ? v : j % 2 ? vshrq_n_u8(v, 4) : vandq_u8(v, vdupq_n_u8(15)));
        PADDOCK_UNROLL for (int r = 0; r < R; r++) {
            const int8x8_t x = vreinterpret_s8_s32(vdup_n_s32(four(q + 32 * r + 4 * j)));
            left[r] = vmlal_s8(left[r], vget_low_s8(w), x);
            right[r] = vmlal_s8(right[r], vget_high_s8(w), x);
            if (Four || j % 2 == 0) continue;
            left4[r] = vpadalq_s16(left4[r], left[r]);
            right4[r] = vpadalq_s16(right4[r], right[r]);
            left[r] = right[r] = vdupq_n_s16(0);
        }
    }
    PADDOCK_UNROLL for (int r = 0; r < R; r++) {
        if (Four) {
            left4[r] = vpaddlq_s16(left[r]);
            right4[r] = vpaddlq_s16(right[r]);
        }
        out[r] = (ivec)vpaddq_s32(left4[r], right4[r]) + (Four ? sums[r] : 0);
    }
}

#else  // any other CPU

template <int R, bool Four>
PADDOCK_INLINE void dots(
    const unsigned char* group, const signed char* q, const int32_t*, ivec out[R]) {
    for (int r = 0; r < R; r++) {
        for (int o = 0; o < W; o++) {
            int32_t total = 0;
            for (int i = 0; i < 32; i++) {
                const int byte = group[(Four ? i / 8 : i / 4) * 64 + o * 4 + i % 4];
                const int w = !Four         ? static_cast<signed char>(byte)
                              : i % 8 < 4 ? (byte & 15) - 8
                                          : (byte >> 4) - 8;
                total += w * q[32 * r + i];
            }
            out[r][o] = total;
        }
    }
}

#endif
