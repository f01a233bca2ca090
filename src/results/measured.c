/* Measured logs of requests: the file is opened, its kind told by its first byte, its rows kept.
 *
 * CSV is read here, JSON in measured_json.c; both give values to a row, field by field. Failures
 * name file, line and column. O(bytes), and O(gaps) for the sort of the gaps between tokens. */
#include "request_log_internal.h"
#include "results_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST_TOKENS (INT64_C(1) << 40)
#define MOST_GAPS      UINT32_MAX /* what rt_sort_keys takes */

/* ---- a log that grows ---- */

void rt_log_builder_init(struct rt_log_builder *b, struct rt_request_log *log)
{
    *b = (struct rt_log_builder){.log = log};
    *log =
        (struct rt_request_log){.has_ids = true, .has_arrivals = true, .duration_s = (double)NAN};
}

void rt_log_builder_release(struct rt_log_builder *b)
{
    free(b->gaps);
    b->gaps = NULL;
}

void rt_log_release(struct rt_request_log *log)
{
    free(log->name);
    free(log->rows);
    *log = (struct rt_request_log){0};
}

void rt_log_row_begin(struct rt_log_builder *b)
{
    double nan = (double)NAN;

    b->id_given = false;
    b->row = (struct rt_log_row){.id = b->log->count,
                                 .place = b->log->count,
                                 .arrival_s = nan,
                                 .ttft_s = nan,
                                 .tpot_s = nan,
                                 .e2e_s = nan,
                                 .prompt_tokens = -1,
                                 .output_tokens = -1,
                                 .ok = true};
}

bool rt_log_row_set(struct rt_log_row *row, enum rt_log_field f, double value, struct rt_err *err)
{
    double *times[RT_LOG_FIELD_COUNT] = {[RT_LOG_ARRIVAL] = &row->arrival_s,
                                         [RT_LOG_TTFT] = &row->ttft_s,
                                         [RT_LOG_TPOT] = &row->tpot_s,
                                         [RT_LOG_E2E] = &row->e2e_s};

    if (times[f] != NULL) {
        if (!isfinite(value) || value < 0)
            return rt_fail(err, RT_ETRACE, "expected a time of at least 0, read %g", value);
        *times[f] = value;
        return true;
    }
    if (f == RT_LOG_SUCCESS) {
        row->ok = row->ok && value > 0;
        return true;
    }
    if (!(value >= 0 && value <= (double)LARGEST_TOKENS) || value != floor(value))
        return rt_fail(err, RT_ETRACE, "expected a whole number from 0 to %lld, read %.17g",
                       (long long)LARGEST_TOKENS, value);
    *(f == RT_LOG_PROMPT ? &row->prompt_tokens : &row->output_tokens) = (int64_t)value;
    return true;
}

/* "bench-17" is 17 when every id begins with "bench-". 18 digits always fit. */
void rt_log_row_id(struct rt_log_builder *b, const char *text, size_t len)
{
    size_t digits = 0;
    uint64_t id = 0;

    while (digits < len && text[len - digits - 1] >= '0' && text[len - digits - 1] <= '9')
        digits++;
    size_t prefix = len - digits;
    if (digits == 0 || digits > 18 || prefix >= sizeof b->prefix)
        return;
    if (b->log->count == 0) {
        memcpy(b->prefix, text, prefix);
        b->prefix[prefix] = '\0';
    }
    if (strlen(b->prefix) != prefix || memcmp(b->prefix, text, prefix) != 0)
        return;
    for (size_t i = prefix; i < len; i++)
        id = id * 10 + (uint64_t)(text[i] - '0');
    b->row.id = id;
    b->id_given = true;
}

static bool grow(void **array, size_t *capacity, size_t count, size_t item, struct rt_err *err)
{
    size_t wanted = *capacity == 0 ? 256 : *capacity * 2;
    void *larger;

    if (count < *capacity)
        return true;
    if (wanted > SIZE_MAX / item)
        return rt_fail_nomem(err, "a measured log");
    larger = realloc(*array, wanted * item);
    if (larger == NULL)
        return rt_fail_nomem(err, "a measured log");
    *array = larger;
    *capacity = wanted;
    return true;
}

void rt_log_row_complete(struct rt_log_row *r)
{
    double gaps = (double)(r->output_tokens - 1);

    if (r->output_tokens >= 0 && r->output_tokens < 2)
        r->tpot_s = (double)NAN; /* one token has none; some tools write 0 */
    if (r->output_tokens == 1 && isnan(r->e2e_s))
        r->e2e_s = r->ttft_s;
    if (r->output_tokens < 2)
        return;
    if (isnan(r->tpot_s) && r->e2e_s >= r->ttft_s)
        r->tpot_s = (r->e2e_s - r->ttft_s) / gaps;
    if (isnan(r->e2e_s))
        r->e2e_s = r->ttft_s + r->tpot_s * gaps;
    if (isnan(r->ttft_s) && r->e2e_s >= r->tpot_s * gaps)
        r->ttft_s = r->e2e_s - r->tpot_s * gaps;
}

static bool append(struct rt_log_builder *b, struct rt_err *err)
{
    struct rt_request_log *log = b->log;
    void *rows = log->rows;

    if (!grow(&rows, &log->capacity, log->count, sizeof log->rows[0], err))
        return false;
    log->rows = rows;
    log->has_ids = log->has_ids && b->id_given;
    log->rows[log->count++] = b->row;
    return true;
}

bool rt_log_row_end(struct rt_log_builder *b, struct rt_err *err)
{
    if (b->row.ok)
        rt_log_row_complete(&b->row);
    return append(b, err);
}

struct rt_log_row *rt_log_row_at(struct rt_log_builder *b, size_t place, struct rt_err *err)
{
    while (b->log->count <= place) {
        rt_log_row_begin(b);
        b->id_given = true; /* the place */
        if (!append(b, err))
            return NULL;
    }
    return &b->log->rows[place];
}

bool rt_log_gap(struct rt_log_builder *b, double gap_s, struct rt_err *err)
{
    void *gaps = b->gaps;

    if (!isfinite(gap_s) || gap_s < 0)
        return rt_fail(err, RT_ETRACE, "expected a gap of at least 0, read %g", gap_s);
    if (b->gap_count == MOST_GAPS)
        return rt_fail(err, RT_ETRACE, "expected at most %u gaps, read more", MOST_GAPS);
    if (!grow(&gaps, &b->gap_capacity, b->gap_count, sizeof b->gaps[0], err))
        return false;
    b->gaps = gaps;
    b->gaps[b->gap_count++] = rt_key_of(gap_s + 0.0); /* not -0: keys are those of positive ones */
    return true;
}

bool rt_log_scale_gaps(struct rt_log_builder *b, size_t from, double scale, struct rt_err *err)
{
    for (size_t i = from; i < b->gap_count; i++) {
        double gap_s = rt_key_value(b->gaps[i]) * scale;
        if (!isfinite(gap_s))
            return rt_fail(err, RT_ETRACE, "expected a gap that is a time, read %g", gap_s);
        b->gaps[i] = rt_key_of(gap_s);
    }
    return true;
}

void rt_log_stats_of(uint64_t *keys, uint64_t *scratch, size_t n, struct rt_log_stats *out)
{
    struct rt_metric_row row = {.count = 0};

    rt_sort_keys(keys, scratch, n);
    rt_stats_of_keys(keys, n, 1, &row);
    *out = (struct rt_log_stats){row.count, row.mean, row.p50, row.p90, row.p95, row.p99};
}

bool rt_log_finish(struct rt_log_builder *b, struct rt_err *err)
{
    uint64_t *scratch = malloc((b->gap_count + 1) * sizeof *scratch);

    if (scratch == NULL)
        return rt_fail_nomem(err, "gaps of a measured log");
    rt_log_stats_of(b->gaps, scratch, b->gap_count, &b->log->itl);
    free(scratch);
    for (size_t i = 0; i < b->log->count; i++)
        b->log->has_arrivals = b->log->has_arrivals && !isnan(b->log->rows[i].arrival_s);
    return b->log->count > 0 || rt_fail(err, RT_ETRACE, "expected requests, read none");
}

/* ---- CSV ---- */

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && (**text == ' ' || **text == '\t')) {
        ++*text;
        --*len;
    }
    while (*len > 0 && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
        --*len;
}

static bool is_false(const char *text, size_t len)
{
    return (len == 5 && (text[0] == 'f' || text[0] == 'F')) || (len == 1 && text[0] == '0');
}

static bool csv_field(struct rt_log_builder *b, enum rt_log_field f, const struct rt_log_binding *m,
                      const struct rt_csv_field *field, struct rt_err *err)
{
    const char *text = field->text;
    size_t len = field->len;
    double value;

    trim(&text, &len);
    if (len == 0)
        return true;
    if (f == RT_LOG_ID) {
        rt_log_row_id(b, text, len);
        return true;
    }
    if (f == RT_LOG_ERROR || f == RT_LOG_SUCCESS) {
        b->row.ok = b->row.ok && (f == RT_LOG_SUCCESS && !is_false(text, len));
        return true;
    }
    if (!rt_records_number(text, len, &value))
        return rt_fail(err, RT_ETRACE, "%s: expected a number, read \"%.*s\"", m->name,
                       (int)(len < 40 ? len : 40), text);
    if (f == RT_LOG_PROMPT || f == RT_LOG_OUTPUT)
        return rt_log_row_set(&b->row, f, value, err) || rt_fail_in(err, "%s", m->name);
    return rt_log_row_set(&b->row, f, value * m->scale, err) || rt_fail_in(err, "%s", m->name);
}

static bool csv_header(struct rt_records *r, struct rt_log_mapping *m, uint32_t *width,
                       struct rt_err *err)
{
    const struct rt_csv_field *fields;
    enum rt_log_field field;
    int found = rt_records_csv(r, &fields, width, err);

    if (found <= 0)
        return found < 0 ? false : rt_fail(err, RT_ETRACE, "expected a header, read nothing");
    for (uint32_t i = 0; i < *width; i++)
        if (!rt_log_mapping_see(m, fields[i].text, fields[i].len, i, &field, err))
            return rt_records_fail_in(r, fields[i].offset, err);
    return rt_log_mapping_check(m, err) || rt_records_fail_in(r, 0, err);
}

/* Failed requests may have anything in their other columns. */
static bool csv_row(struct rt_records *r, const struct rt_log_mapping *m, struct rt_log_builder *b,
                    const struct rt_csv_field *fields, struct rt_err *err)
{
    static const enum rt_log_field order[] = {RT_LOG_ID,      RT_LOG_ERROR,  RT_LOG_SUCCESS,
                                              RT_LOG_ARRIVAL, RT_LOG_PROMPT, RT_LOG_OUTPUT,
                                              RT_LOG_TTFT,    RT_LOG_TPOT,   RT_LOG_E2E};

    rt_log_row_begin(b);
    for (size_t i = 0; i < RT_LOG_FIELD_COUNT; i++) {
        const struct rt_log_binding *f = &m->field[order[i]];
        if (!f->bound || (!b->row.ok && i > 3))
            continue;
        if (!csv_field(b, order[i], f, &fields[f->place], err))
            return rt_records_fail_in(r, fields[f->place].offset, err);
    }
    return rt_log_row_end(b, err);
}

static bool read_csv(struct rt_records *r, struct rt_log_mapping *m, struct rt_log_builder *b,
                     struct rt_err *err)
{
    const struct rt_csv_field *fields;
    uint32_t width, count;
    int found;

    if (!csv_header(r, m, &width, err))
        return false;
    while ((found = rt_records_csv(r, &fields, &count, err)) > 0) {
        if (count != width) {
            (void)rt_fail(err, RT_ETRACE, "expected %u fields as in the header, read %u", width,
                          count);
            return rt_records_fail_in(r, 0, err);
        }
        if (!csv_row(r, m, b, fields, err))
            return false;
    }
    return found == 0;
}

/* ---- the file ---- */

static bool read_any(const char *path, struct rt_records *r, struct rt_log_mapping *m,
                     struct rt_log_builder *b, struct rt_err *err)
{
    const char *text;
    size_t len;
    int found = rt_records_line(r, &text, &len, err);

    if (found <= 0)
        return found < 0 ? false : rt_fail(err, RT_ETRACE, "%s: is empty", path);
    trim(&text, &len);
    rt_records_push_back(r);
    if (len > 0 && text[0] == '{')
        return rt_log_read_json(r, m, b, err);
    return read_csv(r, m, b, err);
}

bool rt_log_load(const char *path, const char *const *columns, unsigned count,
                 struct rt_request_log *out, struct rt_err *err)
{
    struct rt_log_mapping m;
    struct rt_log_builder b;
    struct rt_records *r = NULL;
    bool ok;

    rt_log_builder_init(&b, out);
    ok = rt_log_mapping_init(&m, columns, count, err) && rt_records_open(path, &r, err) &&
         read_any(path, r, &m, &b, err) && (rt_log_finish(&b, err) || rt_fail_in(err, "%s", path));
    rt_records_close(r);
    rt_log_builder_release(&b);
    if (ok) {
        out->name = strdup(path);
        ok = out->name != NULL || rt_fail_nomem(err, path);
    }
    if (!ok)
        rt_log_release(out);
    return ok;
}
