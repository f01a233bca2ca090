/* Which column means what. Names are compared without case and punctuation. Tools disagree about
 * units ("request_latency" is milliseconds in one and seconds in another), so a time whose name
 * does not tell its unit is taken only where every tool that writes it agrees; else the user is
 * asked to map it. GuideLLM's time_per_output_token_ms includes the first token and would read as
 * 1/(output) too much: its inter_token_latency_ms is what others call TPOT. */
#include "request_log_internal.h"

#include <stdio.h>
#include <string.h>

#define TIMES(stem, field)                                                                         \
    {stem "_s", field, 1}, {stem "_ms", field, 1e-3}, {stem "_us", field, 1e-6},                   \
    {                                                                                              \
        stem "_ns", field, 1e-9                                                                    \
    }
#define NO_UNIT 0.0

static const struct rt_log_name names[] = {
    {"request_id", RT_LOG_ID, 1},
    {"id", RT_LOG_ID, 1},
    {"session_num", RT_LOG_ID, 1},
    TIMES("arrival", RT_LOG_ARRIVAL),
    TIMES("arrival_time", RT_LOG_ARRIVAL),
    TIMES("start_time", RT_LOG_ARRIVAL),
    TIMES("request_start", RT_LOG_ARRIVAL),
    {"arrival_time", RT_LOG_ARRIVAL, 1},
    {"start_time", RT_LOG_ARRIVAL, 1},
    {"prompt_tokens", RT_LOG_PROMPT, 1},
    {"num_prompt_tokens", RT_LOG_PROMPT, 1},
    {"input_tokens", RT_LOG_PROMPT, 1},
    {"input_length", RT_LOG_PROMPT, 1},
    {"input_len", RT_LOG_PROMPT, 1},
    {"input_sequence_length", RT_LOG_PROMPT, 1},
    {"isl", RT_LOG_PROMPT, 1},
    {"output_tokens", RT_LOG_OUTPUT, 1},
    {"num_output_tokens", RT_LOG_OUTPUT, 1},
    {"output_length", RT_LOG_OUTPUT, 1},
    {"output_len", RT_LOG_OUTPUT, 1},
    {"output_sequence_length", RT_LOG_OUTPUT, 1},
    {"completion_tokens", RT_LOG_OUTPUT, 1},
    {"osl", RT_LOG_OUTPUT, 1},
    TIMES("ttft", RT_LOG_TTFT),
    TIMES("time_to_first_token", RT_LOG_TTFT),
    {"ttft", RT_LOG_TTFT, 1}, /* vLLM */
    {"time_to_first_token", RT_LOG_TTFT, NO_UNIT},
    TIMES("tpot", RT_LOG_TPOT),
    TIMES("time_per_output_token", RT_LOG_TPOT),
    TIMES("inter_token_latency", RT_LOG_TPOT), /* AIPerf, GuideLLM: (latency - ttft)/(output - 1) */
    {"tpot", RT_LOG_TPOT, 1},
    {"time_per_output_token", RT_LOG_TPOT, NO_UNIT},
    {"inter_token_latency", RT_LOG_TPOT, NO_UNIT},
    TIMES("e2e", RT_LOG_E2E),
    TIMES("e2el", RT_LOG_E2E),
    TIMES("latency", RT_LOG_E2E),
    TIMES("request_latency", RT_LOG_E2E),
    TIMES("e2e_latency", RT_LOG_E2E),
    {"e2e", RT_LOG_E2E, 1},
    {"e2el", RT_LOG_E2E, 1},
    {"latency", RT_LOG_E2E, 1}, /* vLLM */
    {"request_latency", RT_LOG_E2E, NO_UNIT},
    {"error", RT_LOG_ERROR, 1},
    {"success", RT_LOG_SUCCESS, 1},
};

/* What --columns takes: one spelling a field and unit. */
const char *const rt_log_fields[] = {
    "request_id",    "arrival_s", "arrival_ms", "arrival_ns", "prompt_tokens",
    "output_tokens", "ttft_s",    "ttft_ms",    "tpot_s",     "tpot_ms",
    "e2e_s",         "e2e_ms",    "error",      "success",
};
const unsigned rt_log_field_count = sizeof rt_log_fields / sizeof rt_log_fields[0];

static const char *const field_names[RT_LOG_FIELD_COUNT] = {
    "request_id", "arrival", "prompt_tokens", "output_tokens", "ttft",
    "tpot",       "e2e",     "error",         "success"};

/* Letters in lower case, digits, and '_' for everything else: in ASCII, whatever the locale. */
static char plain(char c)
{
    bool digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';

    if (upper)
        return (char)(c - 'A' + 'a');
    return digit || lower ? c : '_';
}

void rt_log_normalise(const char *text, size_t len, char out[RT_LOG_NAME_SIZE])
{
    size_t n = 0;

    for (size_t i = 0; i < len && n + 1 < RT_LOG_NAME_SIZE; i++) {
        char c = plain(text[i]);
        if (c != '_' || (n > 0 && out[n - 1] != '_'))
            out[n++] = c;
    }
    if (n > 0 && out[n - 1] == '_')
        n--;
    out[n] = '\0';
}

const struct rt_log_name *rt_log_name_find(const char *normalised)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, normalised) == 0)
            return &names[i];
    return NULL;
}

static bool map_by_hand(struct rt_log_mapping *m, const char *pair, struct rt_err *err)
{
    const char *colon = strchr(pair, ':');
    const struct rt_log_name *known = NULL;
    char field[RT_LOG_NAME_SIZE], suggestion[256];
    size_t len = colon != NULL ? (size_t)(colon - pair) : strlen(pair);

    snprintf(field, sizeof field, "%.*s", (int)(len < sizeof field ? len : sizeof field - 1), pair);
    for (unsigned i = 0; i < rt_log_field_count; i++)
        if (strcmp(rt_log_fields[i], field) == 0)
            known = rt_log_name_find(field);
    if (known == NULL)
        return rt_fail(
            err, RT_EUSAGE, "--columns: unknown field \"%.64s\", %s", field,
            rt_suggest(field, rt_log_fields, rt_log_field_count, suggestion, sizeof suggestion));
    if (colon == NULL || colon[1] == '\0')
        return rt_fail(err, RT_EUSAGE, "--columns: expected %s:COLUMN, read \"%.64s\"", field,
                       pair);
    struct rt_log_binding *b = &m->field[known->field];
    if (b->by_hand)
        return rt_fail(err, RT_EUSAGE, "--columns: %s is mapped twice", field_names[known->field]);
    *b = (struct rt_log_binding){.scale = known->scale, .by_hand = true};
    rt_log_normalise(colon + 1, strlen(colon + 1), b->name);
    return true;
}

bool rt_log_mapping_init(struct rt_log_mapping *m, const char *const *columns, unsigned count,
                         struct rt_err *err)
{
    memset(m, 0, sizeof *m);
    for (unsigned i = 0; i < count; i++)
        if (!map_by_hand(m, columns[i], err))
            return false;
    return true;
}

static bool bind(struct rt_log_binding *b, const char *name, uint32_t place, struct rt_err *err)
{
    if (b->bound && strcmp(b->name, name) != 0)
        return rt_fail(err, RT_ETRACE,
                       "columns \"%.40s\" and \"%.40s\" mean the same: choose one with --columns",
                       b->name, name);
    if (b->bound && place != RT_LOG_ANYWHERE)
        return rt_fail(err, RT_ETRACE, "expected column \"%.40s\" once, read it again", name);
    b->bound = true;
    b->place = place;
    memmove(b->name, name, strlen(name) + 1);
    return true;
}

/* A time whose unit is anybody's guess. */
static bool fail_unit(const char *name, enum rt_log_field f, struct rt_err *err)
{
    const char *field = field_names[f];

    return rt_fail(err, RT_ETRACE,
                   "column \"%.40s\" does not tell its unit: map it with --columns %s_ms:%.40s or"
                   " %s_s:%.40s",
                   name, field, name, field, name);
}

bool rt_log_mapping_see(struct rt_log_mapping *m, const char *name, size_t len, uint32_t place,
                        enum rt_log_field *field, struct rt_err *err)
{
    char normalised[RT_LOG_NAME_SIZE];
    const struct rt_log_name *known;

    *field = RT_LOG_FIELD_COUNT;
    rt_log_normalise(name, len, normalised);
    for (int f = 0; f < RT_LOG_FIELD_COUNT; f++) {
        if (!m->field[f].by_hand || strcmp(m->field[f].name, normalised) != 0)
            continue;
        *field = (enum rt_log_field)f;
        return bind(&m->field[f], normalised, place, err);
    }
    known = rt_log_name_find(normalised);
    if (known == NULL || m->field[known->field].by_hand)
        return true;
    if (known->scale <= 0)
        return fail_unit(normalised, known->field, err);
    *field = known->field;
    m->field[known->field].scale = known->scale;
    return bind(&m->field[known->field], normalised, place, err);
}

bool rt_log_mapping_check(const struct rt_log_mapping *m, struct rt_err *err)
{
    const struct rt_log_binding *f = m->field;

    for (int i = 0; i < RT_LOG_FIELD_COUNT; i++)
        if (f[i].by_hand && !f[i].bound)
            return rt_fail(err, RT_EUSAGE, "--columns: there is no column \"%.64s\"", f[i].name);
    if (!f[RT_LOG_TTFT].bound && !f[RT_LOG_TPOT].bound && !f[RT_LOG_E2E].bound)
        return rt_fail(err, RT_ETRACE,
                       "expected a column of TTFT, TPOT or E2E (ttft_s, tpot_ms, ...), read none;"
                       " --columns maps others");
    return true;
}
