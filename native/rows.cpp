// Compiles rows.h for every instruction set and chooses between them.

#include "attention.h"
#include "matrix.h"
#include "target.h"

#include <cfloat>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// What every CPU of the architecture has: SSE2 or NEON. The sanitizer build widens it to run the
// code of wider sets on any CPU.
#ifndef PADDOCK_BASE_WIDTH
#define PADDOCK_BASE_WIDTH 4
#endif
#define PADDOCK_SET plain
#define PADDOCK_WIDTH PADDOCK_BASE_WIDTH
#define PADDOCK_F16C 0
#if defined(__aarch64__)
#define PADDOCK_REGISTERS 32
#else
#define PADDOCK_REGISTERS 16
#endif
#include "rows.h"
#undef PADDOCK_SET
#undef PADDOCK_WIDTH
#undef PADDOCK_F16C
#undef PADDOCK_REGISTERS

#if defined(__x86_64__)
PADDOCK_TARGET("avx2,fma,f16c")
#define PADDOCK_SET middle
#define PADDOCK_WIDTH 8
#define PADDOCK_F16C 1
#define PADDOCK_REGISTERS 16
#include "rows.h"
#undef PADDOCK_SET
#undef PADDOCK_WIDTH
#undef PADDOCK_F16C
#undef PADDOCK_REGISTERS
PADDOCK_TARGET_END

PADDOCK_TARGET("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c")
#define PADDOCK_SET wide512
#define PADDOCK_WIDTH 16
#define PADDOCK_F16C 1
#define PADDOCK_REGISTERS 32
#include "rows.h"
#undef PADDOCK_SET
#undef PADDOCK_WIDTH
#undef PADDOCK_F16C
#undef PADDOCK_REGISTERS
PADDOCK_TARGET_END
#endif

namespace paddock {

const Rows* rows(int32_t set) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool has_middle = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                            __builtin_cpu_supports("f16c");
    const bool has_wide = has_middle && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    if (set == avx512vnni || set == avx512amd || (set == best && has_wide))
        return has_wide ? &wide512::rows : nullptr;
    if (set == avx2 || set == avxvnni || (set == best && has_middle))
        return has_middle ? &middle::rows : nullptr;
    return set == base || set == best ? &plain::rows : nullptr;
#else
    return set == base || set == best || set == dotprod ? &plain::rows : nullptr;
#endif
}

}  // namespace paddock
