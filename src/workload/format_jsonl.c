/* format_jsonl.c: rooftrace's JSONL, one object a line; Mooncake's names are aliases.
 *
 *     {"arrival_s": 0.25, "prompt_tokens": 374, "output_tokens": 44, "class": "chat"}
 *     {"timestamp": 250, "input_length": 1100, "output_length": 20, "hash_ids": [0, 1, 2]}
 *
 * Two entries in the table of formats, one reader (json_row.c): the first line's names tell. */
#include "workload_internal.h"

#include <stdio.h>
#include <string.h>

#define BLOCK_TOKENS                                                                               \
    512u /* what a hash id names in Mooncake's traces; workload.block_size tells                   \
          */

static bool jsonl_open(struct rt_trace *t, struct rt_err *err)
{
    struct rt_json_row *row;
    if (!rt_json_row_new(t, &row, err))
        return false;
    t->state = row;
    return true;
}

static void jsonl_close(struct rt_trace *t)
{
    rt_json_row_free(t->state);
    t->state = NULL;
}

static bool jsonl_rewind(struct rt_trace *t, struct rt_err *err)
{
    jsonl_close(t);
    return jsonl_open(t, err);
}

static int jsonl_read(struct rt_trace *t, struct rt_request *out, struct rt_err *err)
{
    int found;
    do {
        found = rt_lines_next(&t->lines, err);
        if (found <= 0)
            return found;
    } while (rt_line_is_blank(t->lines.text, t->lines.len));
    return rt_json_row_parse(t->state, out, err) ? 1 : -1;
}

static bool starts_object(const char *line, size_t len)
{
    size_t i = 0;
    while (i < len && (line[i] == ' ' || line[i] == '\t'))
        i++;
    return i < len && line[i] == '{';
}

/* A length of the first line is enough: the name stands near its beginning. */
static bool has_name(const char *line, size_t len, const char *name)
{
    size_t want = strlen(name);
    for (size_t i = 0; i + want <= len; i++) {
        if (line[i] == '"' && memcmp(line + i, name, want) == 0)
            return true;
    }
    return false;
}

static bool jsonl_matches(const char *line, size_t len)
{
    return starts_object(line, len);
}

static bool mooncake_matches(const char *line, size_t len)
{
    return starts_object(line, len) && has_name(line, len, "\"timestamp\"") &&
           has_name(line, len, "\"input_length\"");
}

/* Whole lines are moved, never rewritten: other tools round 64-bit hash ids. */
static void jsonl_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    (void)t;
    (void)snprintf(buf, size, "%s",
                   "python3 -c 'import json,sys;k=lambda l:(lambda d:d.get(\"arrival_s\","
                   "d.get(\"timestamp\",0)/1e3))(json.loads(l));print(*sorted((l.strip() for l in "
                   "sys.stdin if l.strip()),key=k),sep=\"\\n\")' > sorted.jsonl");
}

const struct rt_trace_format rt_format_mooncake = {
    .name = "mooncake",
    .help = "Mooncake JSONL: timestamp (ms), input_length, output_length, hash_ids",
    .block_size = BLOCK_TOKENS,
    .matches = mooncake_matches,
    .open = jsonl_open,
    .read = jsonl_read,
    .rewind = jsonl_rewind,
    .close = jsonl_close,
    .sort_command = jsonl_sort_command,
};

const struct rt_trace_format rt_format_jsonl = {
    .name = "jsonl",
    .help = "rooftrace JSONL: arrival_s, prompt_tokens, output_tokens[, hash_ids, class, ...]",
    .block_size = BLOCK_TOKENS,
    .matches = jsonl_matches,
    .open = jsonl_open,
    .read = jsonl_read,
    .rewind = jsonl_rewind,
    .close = jsonl_close,
    .sort_command = jsonl_sort_command,
};
