/* base/wide.h: RT_WIDE compiles a function for wider vectors, too, and lets the loader choose. For
 * short loops over arrays without branches. Integer and IEEE operations give the same bits in any
 * width (no contraction, see cmake/flags.cmake), so results do not depend on the machine. Off where
 * it cannot work: other processors and C libraries, clang 14, and sanitizers, which cannot run
 * before the choice is made. */
#ifndef RT_WIDE_H
#define RT_WIDE_H

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&   \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define RT_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define RT_WIDE
#endif

#endif
