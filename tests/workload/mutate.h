/* mutate.h: damage to the text of a trace, for fuzzing and for tests of malformed input: every way
 * in which logs arrive broken, chosen by a fixed-seed generator, so that a failure can be repeated.
 */
#ifndef MUTATE_H
#define MUTATE_H

#include "rooftrace/rng.h"

#include <stdbool.h>
#include <stddef.h>

struct mutant {
    char *bytes;
    size_t len, capacity;
};

/* *m becomes a damaged copy of the text: one to four of bit flips, nasty bytes, cuts, doubled or
 * lost pieces, tokens of another kind, brackets and separators in masses. False: out of memory. */
bool mutate(struct mutant *m, const char *text, size_t len, struct rt_rng *rng);
void mutant_release(struct mutant *m);

#endif
