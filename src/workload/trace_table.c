/* A trace in memory, and readers on it.
 *
 *     file ──> rt_trace ──> [ row | row | ... ]  lines, session and hash ids beside them
 *                             ^ rt_trace with `table`: one cursor a source
 *
 * The rows stay in the order of the file and as the file tells them: putting them in order, cutting
 * and scaling is each source's own work, so that a table and its file give the same. A reader knows
 * the line of each row, for messages. Reading stops with an error at the first bad row: such a
 * trace has no table, and a source on its file tells the error in its place. O(rows). */
#include "rooftrace/trace_table.h"
#include "workload_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct place { /* of a row in its file */
    uint64_t line;
    struct rt_trace_counts counts; /* when it had been read */
};

struct rt_trace_table {
    struct rt_trace *file; /* at its end; its names, its format and its path are used */
    struct rt_request *rows;
    struct place *places; /* of the rows */
    size_t count, capacity;
    struct rt_arena ids; /* session and hash ids */
};

size_t rt_trace_table_bytes(const struct rt_trace_table *t)
{
    return t->capacity * (sizeof t->rows[0] + sizeof t->places[0]) + t->ids.bytes;
}

uint64_t rt_trace_table_rows(const struct rt_trace_table *t)
{
    return t->count;
}

void rt_trace_table_free(struct rt_trace_table *t)
{
    if (t == NULL)
        return;
    rt_trace_free(t->file);
    rt_arena_release(&t->ids);
    free(t->rows);
    free(t->places);
    free(t);
}

static bool resize(struct rt_trace_table *t, size_t capacity)
{
    struct rt_request *rows = realloc(t->rows, capacity * sizeof rows[0]);
    if (rows != NULL)
        t->rows = rows;
    struct place *places = realloc(t->places, capacity * sizeof places[0]);
    if (places != NULL)
        t->places = places;
    if (rows == NULL || places == NULL)
        return false;
    t->capacity = capacity;
    return true;
}

static bool keep(struct rt_trace_table *t, struct rt_request *row)
{
    if (t->count == t->capacity && !resize(t, t->capacity > 0 ? 2 * t->capacity : 1024))
        return false;
    if (row->session != NULL && (row->session = rt_arena_strdup(&t->ids, row->session)) == NULL)
        return false;
    if (row->hash_count > 0) {
        size_t bytes = row->hash_count * sizeof row->hash_ids[0];
        uint64_t *ids = rt_arena_alloc(&t->ids, bytes);
        if (ids == NULL)
            return false;
        memcpy(ids, row->hash_ids, bytes);
        row->hash_ids = ids;
    }
    t->places[t->count] = (struct place){t->file->lines.number, t->file->counts};
    t->rows[t->count++] = *row;
    return true;
}

/* 1: all rows; 0: beyond the budget; -1: error. */
static int read_all(struct rt_trace_table *t, size_t budget_bytes, struct rt_err *err)
{
    struct rt_request row;
    int found;
    while ((found = rt_trace_read(t->file, &row, err)) == 1) {
        if (!keep(t, &row)) {
            (void)rt_fail_nomem(err, "a trace in memory");
            return -1;
        }
        if (rt_trace_table_bytes(t) > budget_bytes)
            return 0;
    }
    if (found == 0 && t->count > 0 && !resize(t, t->count)) {
        (void)rt_fail_nomem(err, "a trace in memory");
        return -1;
    }
    return found < 0 ? -1 : 1;
}

/* Opening a pipe would take its first bytes from whoever reads it. */
static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) != 0 || S_ISREG(info.st_mode); /* missing: rt_trace_open says so */
}

/* 0 also where the rows are drawn: they belong to one seed. */
static int read_file(struct rt_trace_table *t, const struct rt_workload_spec *w,
                     size_t budget_bytes, struct rt_err *err)
{
    struct rt_trace_options options = rt_workload_trace_options(w);
    if (!rt_trace_open_with(w->trace, &options, &t->file, err))
        return -1;
    return (t->file->format->flags & RT_FORMAT_DRAWN) != 0 ? 0 : read_all(t, budget_bytes, err);
}

bool rt_trace_table_new(const struct rt_workload_spec *w, size_t budget_bytes,
                        struct rt_trace_table **out, struct rt_err *err)
{
    *out = NULL;
    if (w->trace == NULL && (w->synthetic.requests > 0 || w->mix_count > 0))
        return true;
    if (!rt_workload_check(w, err))
        return false;
    if (w->trace == NULL || strcmp(w->trace, "-") == 0 || !is_file(w->trace))
        return true;
    struct rt_trace_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return rt_fail_nomem(err, "a trace in memory");
    rt_arena_init(&t->ids);
    int all = read_file(t, w, budget_bytes, err);
    if (all == 1)
        *out = t;
    else
        rt_trace_table_free(t);
    return all >= 0;
}

/* ---- readers ---- */

const struct rt_trace *rt_trace_table_file(const struct rt_trace_table *t)
{
    return t->file;
}

int rt_trace_table_read(const struct rt_trace_table *t, struct rt_trace *reader,
                        struct rt_request *out)
{
    uint64_t row = reader->counts.rows;
    if (row == t->count) {
        reader->counts = t->file->counts; /* rows left out may follow the last */
        return 0;
    }
    *out = t->rows[row];
    reader->lines.number = t->places[row].line;
    reader->counts = t->places[row].counts;
    return 1;
}

bool rt_trace_open_table(const struct rt_trace_table *table, struct rt_trace **out,
                         struct rt_err *err)
{
    struct rt_trace *t = calloc(1, sizeof *t);
    if (t == NULL)
        return rt_fail_nomem(err, "trace reader");
    t->table = table;
    t->format = table->file->format;
    t->info = table->file->info;
    t->lines = (struct rt_lines){.path = table->file->path, .height = 1};
    *out = t;
    return true;
}

bool rt_workload_open_table(const struct rt_workload_spec *w, const struct rt_trace_table *table,
                            struct rt_source **out, struct rt_err *err)
{
    if (w->synthetic.requests > 0 || w->mix_count > 0)
        table = NULL;
    return rt_workload_check(w, err) && rt_transform_open(w, table, out, err) &&
           rt_load_wrap(&w->load, w->seed, out, err);
}
