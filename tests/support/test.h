/* support/test.h: cmocka with the headers it wants first, and assertions on rt_err. */
#ifndef RT_TEST_H
#define RT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* wants the four above; a blank line keeps clang-format from sorting it */

#include "rooftrace/err.h"

/* The call succeeds; otherwise its message is the failure. */
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, (err)->msg);                                                 \
    } while (0)

/* The call fails with this code and a message that contains `text`. */
#define assert_fails(call, err, want_code, text)                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: succeeded", #call);                                                      \
        assert_int_equal((err)->code, (want_code));                                                \
        if (strstr((err)->msg, (text)) == NULL)                                                    \
            fail_msg("message \"%s\" lacks \"%s\"", (err)->msg, (text));                           \
    } while (0)

#endif
