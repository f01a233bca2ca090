/* The wrapped allocators. Compiled into each test that rt_oom_test makes, not into the library of
 * helpers: --wrap works on a whole executable. */
#include "support/failing_alloc.h"

#include <stdbool.h>

static atomic_long countdown = -1; /* a test may have state */

atomic_long *failing_alloc_countdown(void)
{
    return &countdown;
}

bool failing_alloc_fails(atomic_long *left)
{
    long now = atomic_load(left);
    while (now > 0 && !atomic_compare_exchange_weak(left, &now, now - 1))
        ; /* another thread was faster: two must not count down from 1 to -1, which means never */
    return now == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return failing_alloc_fails(&countdown) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return failing_alloc_fails(&countdown) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return failing_alloc_fails(&countdown) ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return failing_alloc_fails(&countdown) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return failing_alloc_fails(&countdown) ? NULL : __real_strndup(text, size);
}

void *failing_alloc(size_t size)
{
    return __wrap_malloc(size);
}
