/* synth_options_internal.h: the options that describe synthetic traffic, the same for `run` and
 * `trace synth`: rows of their tables, and what they stand for (synth_options.c). */
#ifndef RT_SYNTH_OPTIONS_INTERNAL_H
#define RT_SYNTH_OPTIONS_INTERNAL_H

#include "scenario_internal.h"

#define SYNTH_MAX_REQUESTS (INT64_C(1) << 53)
#define SYNTH_MAX_TOKENS   (INT64_C(1) << 40)
/* clang-format off */
#define SYNTH_OPTIONS                                                                              \
    {RT_OPT_TEXT("--like", "FILE", "traffic like that of this trace, any number of requests")},    \
    {RT_OPT_INT("--num-prompts", "N", 1, SYNTH_MAX_REQUESTS, "requests to make (1000)")},          \
    {RT_OPT_INT("--requests", "N", 1, SYNTH_MAX_REQUESTS, "the same")},                            \
    {RT_OPT_INT("--random-input-len", "N", 1, SYNTH_MAX_TOKENS, "prompt tokens (1024)")},          \
    {RT_OPT_INT("--random-output-len", "N", 1, SYNTH_MAX_TOKENS, "output tokens (128)")},          \
    {RT_OPT_NUMBER("--random-range-ratio", "R", 0, 0.999999,                                       \
                   "both uniform from (1 - R) to (1 + R) times that (0)")},                        \
    {RT_OPT_INT("--random-prefix-len", "N", 1, SYNTH_MAX_TOKENS,                                   \
                "tokens before each prompt that all share")},                                      \
    {RT_OPT_TEXT("--prompt-tokens", "D", "or a distribution: 1024, 820:1024 (uniform), or\n"       \
                 "KIND:KEY=VALUE,... such as lognormal:median=800,sigma=0.9,max=16000")},          \
    {RT_OPT_TEXT("--output-tokens", "D", "likewise")},                                             \
    {RT_OPT_TEXT("--arrivals", "A", "KIND:RATE[,KEY=VALUE...], such as poisson:10, gamma:10,cv=2\n"\
                 "(at_once)")},                                                                    \
    {RT_OPT_TEXT("--prefixes", "P", "shared prefixes: count=16,tokens=512[,zipf=1][,share=0.8]")}, \
    {RT_OPT_TEXT("--conversations", "S", "turns=2:6[,think_s=10][,turn_tokens=100]...")}
/* clang-format on */

/* Was any of them given? */
bool synth_options_given(const struct rt_options *o);
/* Those that describe traffic, not only how much of it. */
bool synth_options_describe(const struct rt_options *o);
/* Puts what they say into the section workload.synthetic (an object). */
bool synth_options_put(struct scenario_builder *b, struct cJSON *synthetic,
                       struct rt_err *err) RT_MUST_USE;
/* Kinds of arrivals and distributions, for --help. */
void synth_options_help(FILE *out);

#endif
