/* support/failing_alloc.h: allocations of the code under test that fail after a while. For tests
 * made by rt_oom_test (tests/CMakeLists.txt), whose linker sends malloc, calloc, realloc, strdup
 * and strndup here. Works across threads. */
#ifndef RT_FAILING_ALLOC_H
#define RT_FAILING_ALLOC_H

#include <stdatomic.h>
#include <stddef.h>

/* Allocations that still succeed, then all fail; -1: none fails. */
atomic_long *failing_alloc_countdown(void);
static inline void failing_alloc_after(long n)
{
    atomic_store(failing_alloc_countdown(), n);
}

/* One allocation that is subject to the countdown, for libraries that take a hook. */
void *failing_alloc(size_t size);

/* Counts down; true: this allocation is to fail. For other countdowns of the same kind. */
_Bool failing_alloc_fails(atomic_long *countdown);

#endif
