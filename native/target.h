// PADDOCK_TARGET(set) ... PADDOCK_TARGET_END: functions compiled for an instruction set that the rest
// of the file does not need. Standard headers are included before it, never between.
#pragma once

// clang-format off
#define PADDOCK_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define PADDOCK_TARGET(set) \
    PADDOCK_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define PADDOCK_TARGET_END _Pragma("clang attribute pop")
#else
#define PADDOCK_TARGET(set) _Pragma("GCC push_options") PADDOCK_PRAGMA(GCC target(set))
#define PADDOCK_TARGET_END _Pragma("GCC pop_options")
#endif
// clang-format on
