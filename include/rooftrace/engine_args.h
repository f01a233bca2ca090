/* cli/engine_args.h: a pasted vLLM command line as keys of a scenario.
 *
 * Takes `vllm serve MODEL --option ...`, `python -m vllm.entrypoints.openai.api_server --model M
 * ...`, `docker run ... vllm/vllm-openai:TAG --model M ...`, or the options alone. Words are split
 * as a shell does: single and double quotes, backslashes, continued lines, comments, redirections;
 * variables are not expanded. What stands before the command (NAME=VALUE, docker's own options) has
 * no meaning here. Option names may be written with '-' or '_', with '=' or a blank before the
 * value; of several, the last wins.
 *
 * Options that a scenario has no key for are listed by name, never with their value: an API key
 * must not reach a log. Failure: RT_EUSAGE naming the option, RT_ENOMEM. O(line). */
#ifndef RT_ENGINE_ARGS_H
#define RT_ENGINE_ARGS_H

#include "rooftrace/err.h"

struct rt_engine_args {
    char *keys;    /* JSON: {"model":"...","pool":{...},"engine":{...}}, members of pools[] and
                      of pools[].engine; "model" only when one was named */
    char *ignored; /* "--port, --api-key, HF_TOKEN"; "" when everything was taken */
    bool has_model;
    bool fp8_activations; /* quantised so that matrices are multiplied in fp8 where the GPU can */
};

/* *out is filled on success only; release it with rt_engine_args_release. */
bool rt_engine_args_parse(const char *line, struct rt_engine_args *out,
                          struct rt_err *err) RT_MUST_USE;
void rt_engine_args_release(struct rt_engine_args *a);

#endif
