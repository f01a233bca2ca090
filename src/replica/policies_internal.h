/* policies_internal.h: the batching policies, one file each, and what some of them share. The list
 * is in policies.c. */
#ifndef RT_POLICIES_INTERNAL_H
#define RT_POLICIES_INTERNAL_H

#include "replica_internal.h"

extern const struct rt_policy policy_static;
extern const struct rt_policy policy_continuous;
extern const struct rt_policy policy_prefill_first;
extern const struct rt_policy policy_chunked;
extern const struct rt_policy policy_sarathi;

void admit_whole_prompts(struct rank *r, struct batch *b); /* policy_static.c */
/* decode_pass.c; budget: swapped sequences come back while the decodes are fewer */
void decode_pass(struct rank *r, struct batch *b, int64_t budget);

#endif
