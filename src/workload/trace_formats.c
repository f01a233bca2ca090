/* trace_formats.c: the one table of trace formats. Help, error messages and recognition read it.
 * A new format is one file format_x.c (struct rt_trace_format; most are a table of columns or of
 * JSON members, see format_vidur.c and format_bailian.c) and two lines here. The first that
 * recognises the first bytes is taken: formats whose names others use, too, come last. */
#include "workload_internal.h"

extern const struct rt_trace_format rt_format_aibrix, rt_format_azure, rt_format_bailian,
    rt_format_blis, rt_format_burstgpt, rt_format_dynamo, rt_format_jsonl, rt_format_litellm,
    rt_format_litellm_json, rt_format_llmservingsim, rt_format_mooncake, rt_format_native_csv,
    rt_format_otel, rt_format_ragpulse, rt_format_servegen, rt_format_splitwise, rt_format_tracelab,
    rt_format_vidur, rt_format_vllm_bench, rt_format_weka;

const struct rt_trace_format *const rt_trace_formats[] = {
    &rt_format_litellm, /* before csv: it has a column prompt_tokens */
    &rt_format_native_csv,    &rt_format_azure,        &rt_format_burstgpt, &rt_format_vidur,
    &rt_format_splitwise,     &rt_format_tracelab,     &rt_format_blis,     &rt_format_servegen,
    &rt_format_dynamo, /* before mooncake: names that it uses stand in other formats, too */
    &rt_format_bailian,       &rt_format_ragpulse,     &rt_format_weka,     &rt_format_aibrix,
    &rt_format_llmservingsim, &rt_format_litellm_json, &rt_format_otel,     &rt_format_vllm_bench,
    &rt_format_mooncake,      &rt_format_jsonl, /* any other object */
    &rt_format_columns,
};
const unsigned rt_trace_formats_count = sizeof rt_trace_formats / sizeof rt_trace_formats[0];

unsigned rt_trace_format_count(void)
{
    return rt_trace_formats_count;
}

struct rt_trace_format_info rt_trace_format_info(unsigned i)
{
    return (struct rt_trace_format_info){rt_trace_formats[i]->name, rt_trace_formats[i]->help};
}
