/* sort_window.c: the rows of a trace in (key, id) order, by a bounded look-ahead.
 *
 * Up to 65,536 rows and 32 MiB are held beyond the one answered. Rows that are in order, which is
 * nearly all of them in nearly every trace, wait in a ring (first in, first out, O(1)); a row whose
 * key lies before the ring's last waits in a heap (O(log n)). The next row is the lesser of the two
 * tops. A row is parsed straight into its slot; session and hash ids, if any, are copied into
 * chunks:
 *
 *     slots   [ row | row | row | ... ]      65,537 of them, reused; taken and given as a stack
 *     ring    [ slot numbers in order ]      late: heap of slot numbers
 *     chunks  [ ids, session | ids ... ]     256 KiB each, reused when none of their rows is left
 *
 * The row read last is "parked": its ids stay in the reader's buffers until the next row is read,
 * so a row larger than the whole window still goes through. Failure: a row that belongs before one
 * that was answered already, that is, beyond the window; a row that cannot be read. Rows read
 * before it are answered first, then the error. Cost: O(1) a row when sorted; 7 to 32 MiB; no
 * allocation after the first pass of the window. */
#include "workload_internal.h"

#include "rooftrace/heap.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS       (RT_WINDOW_ROWS + 1u) /* a row may come 65,536 places late */
#define NONE        UINT32_MAX
#define CHUNK_BYTES ((size_t)256 << 10)
#define MAX_CHUNKS  (RT_WINDOW_BYTES / CHUNK_BYTES)

struct slot {
    struct rt_request row; /* arrival_ns as in the file */
    int64_t key;
    uint32_t chunk; /* where session and hash ids are, or NONE */
};

struct chunk {
    unsigned char *data; /* NULL: not allocated */
    size_t capacity, used;
    uint32_t live; /* rows that have ids here */
};

struct rt_window {
    struct rt_trace *trace;
    struct rt_time_map map;
    struct slot *slots;
    uint32_t *free_slots, free_count;
    uint32_t *ring, ring_first, ring_count; /* SLOTS places */
    struct rt_heap late;
    struct chunk chunks[MAX_CHUNKS];
    uint32_t chunk;                    /* the one being filled, or NONE */
    size_t chunk_bytes;                /* allocated */
    uint32_t parked;                   /* slot whose ids are still the reader's, or NONE */
    uint32_t given;                    /* slot answered last, or NONE */
    int64_t last_key, last_arrival_ns; /* of the row answered last */
    int64_t read_ns;                   /* arrival of the row read last */
    uint64_t unsorted;
    bool ended, failed;
    struct rt_err failure; /* comes after the rows before it */
};

int64_t rt_time_map_key(const struct rt_time_map *m, int64_t arrival_ns)
{
    int64_t t;
    if (__builtin_add_overflow(arrival_ns - m->origin_ns, m->shift_ns, &t))
        return INT64_MAX;
    if (m->rate == 1.0) /* also keeps what a double would round */
        return t;
    double scaled = (double)t / m->rate;
    if (scaled >= 0x1p63)
        return INT64_MAX;
    return scaled <= -0x1p63 ? INT64_MIN : llrint(scaled);
}

int64_t rt_time_map_row(const struct rt_time_map *m, const struct rt_request *row)
{
    if (m->spread_ns == 0)
        return rt_time_map_key(m, row->arrival_ns);
    uint64_t of = row->session != NULL ? rt_hash_text(row->session, strlen(row->session)) : row->id;
    double unit = (double)(rt_mix_ids(m->spread_key, of) >> 11) * 0x1p-53;
    int64_t at;
    if (__builtin_add_overflow(row->arrival_ns, (int64_t)(unit * (double)m->spread_ns), &at))
        return INT64_MAX;
    return rt_time_map_key(m, at);
}

static void forget_rows(struct rt_window *w)
{
    w->free_count = SLOTS;
    for (uint32_t i = 0; i < SLOTS; i++)
        w->free_slots[i] = SLOTS - 1 - i;
    while (w->late.count > 0)
        rt_heap_remove(&w->late, rt_heap_top(&w->late)->item);
    for (uint32_t i = 0; i < MAX_CHUNKS; i++)
        w->chunks[i].live = 0;
    w->ring_first = w->ring_count = 0;
    w->parked = w->given = w->chunk = NONE;
    w->last_key = INT64_MIN;
    w->last_arrival_ns = w->read_ns = 0;
    w->unsorted = 0;
    w->ended = w->failed = false;
}

bool rt_window_new(struct rt_trace *t, struct rt_window **out, struct rt_err *err)
{
    struct rt_window *w = calloc(1, sizeof *w);
    if (w == NULL)
        return rt_fail_nomem(err, "sort window");
    w->trace = t;
    w->map.rate = 1.0;
    rt_heap_init(&w->late);
    w->slots = malloc(SLOTS * sizeof *w->slots);
    w->free_slots = malloc(SLOTS * sizeof *w->free_slots);
    w->ring = malloc(SLOTS * sizeof *w->ring);
    if (w->slots == NULL || w->free_slots == NULL || w->ring == NULL ||
        !rt_heap_reserve(&w->late, SLOTS)) {
        rt_window_free(w);
        return rt_fail_nomem(err, "sort window");
    }
    forget_rows(w);
    *out = w;
    return true;
}

void rt_window_free(struct rt_window *w)
{
    if (w == NULL)
        return;
    for (uint32_t i = 0; i < MAX_CHUNKS; i++)
        free(w->chunks[i].data);
    rt_heap_release(&w->late);
    free(w->ring);
    free(w->free_slots);
    free(w->slots);
    free(w);
}

static void free_chunk(struct rt_window *w, struct chunk *c)
{
    w->chunk_bytes -= c->capacity;
    free(c->data);
    *c = (struct chunk){.data = NULL};
}

static bool chunk_has_room(const struct chunk *c, size_t bytes)
{
    size_t used = c->live == 0 ? 0 : c->used;
    return c->data != NULL && c->capacity - used >= bytes;
}

/* A chunk with room for that many bytes, or NONE: the window is full (or memory is out, then the
 * window has failed). Ordinary rows share chunks; one larger than that gets its own. */
static uint32_t find_chunk(struct rt_window *w, size_t bytes)
{
    if (w->chunk != NONE && chunk_has_room(&w->chunks[w->chunk], bytes))
        return w->chunk;
    uint32_t empty = NONE;
    for (uint32_t i = 0; i < MAX_CHUNKS; i++) {
        struct chunk *c = &w->chunks[i];
        if (c->live == 0 && chunk_has_room(c, bytes))
            return i;
        if (c->live == 0 && bytes > CHUNK_BYTES && c->data != NULL)
            free_chunk(w, c); /* make room for the large one */
        if (c->data == NULL)
            empty = i;
    }
    size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    if (empty == NONE || SLOTS * sizeof(struct slot) + w->chunk_bytes + capacity > RT_WINDOW_BYTES)
        return NONE;
    struct chunk *c = &w->chunks[empty];
    c->data = malloc(capacity);
    if (c->data == NULL) {
        w->failed = true;
        (void)rt_fail_nomem(&w->failure, "sort window");
        return NONE;
    }
    c->capacity = capacity;
    w->chunk_bytes += capacity;
    return empty;
}

/* Copies the parked row's ids into a chunk; false: no room. */
static bool settle_parked(struct rt_window *w)
{
    struct slot *s = &w->slots[w->parked];
    size_t ids = s->row.hash_count * sizeof *s->row.hash_ids;
    size_t session = s->row.session != NULL ? strlen(s->row.session) + 1 : 0;
    size_t bytes = (ids + session + 7) & ~(size_t)7; /* ids stay aligned */
    uint32_t place = find_chunk(w, bytes);
    if (place == NONE)
        return false;
    struct chunk *c = &w->chunks[place];
    if (c->live++ == 0)
        c->used = 0;
    unsigned char *to = c->data + c->used;
    c->used += bytes;
    if (ids > 0) {
        memcpy(to, s->row.hash_ids, ids);
        s->row.hash_ids = (const uint64_t *)(const void *)to;
    }
    if (session > 0) {
        memcpy(to + ids, s->row.session, session);
        s->row.session = (const char *)to + ids;
    }
    s->chunk = w->chunk = place;
    w->parked = NONE;
    return true;
}

static void release_slot(struct rt_window *w, uint32_t i)
{
    struct slot *s = &w->slots[i];
    if (s->chunk != NONE && --w->chunks[s->chunk].live == 0 &&
        w->chunks[s->chunk].capacity > CHUNK_BYTES)
        free_chunk(w, &w->chunks[s->chunk]);
    if (w->parked == i)
        w->parked = NONE;
    w->free_slots[w->free_count++] = i;
}

static void fail_late(struct rt_window *w, const struct slot *s)
{
    char command[800];
    if (w->map.spread_ns > 0 && s->row.arrival_ns >= w->last_arrival_ns - w->map.spread_ns) {
        w->failed = true;
        (void)rt_fail(&w->failure, RT_ETRACE,
                      "spread_s puts requests in order anew, within %u rows or %u MiB: so many "
                      "arrive within %g s that a smaller spread_s is needed",
                      RT_WINDOW_ROWS, RT_WINDOW_BYTES >> 20, (double)w->map.spread_ns / 1e9);
        (void)rt_trace_fail_in(w->trace, &w->failure);
        return;
    }
    double back_s = (double)(w->last_arrival_ns - s->row.arrival_ns) / 1e9;
    w->failed = true;
    (void)rt_fail(&w->failure, RT_ETRACE,
                  "time goes back by %g s, beyond the window of %u rows or %u MiB that is sorted; "
                  "sort it with: %s",
                  back_s, RT_WINDOW_ROWS, RT_WINDOW_BYTES >> 20,
                  rt_trace_sort_command(w->trace, command, sizeof command));
    (void)rt_trace_fail_in(w->trace, &w->failure);
}

static uint32_t ring_place(const struct rt_window *w, uint32_t n)
{
    uint32_t i = w->ring_first + n;
    return i < SLOTS ? i : i - SLOTS;
}

/* Puts the row just read, in slot i, where it belongs. */
static void place_row(struct rt_window *w, uint32_t i)
{
    struct slot *s = &w->slots[i];
    s->chunk = NONE;
    s->key = rt_time_map_row(&w->map, &s->row);
    w->unsorted += s->row.arrival_ns < w->read_ns;
    w->read_ns = s->row.arrival_ns;
    if (s->row.session != NULL || s->row.hash_count > 0)
        w->parked = i;
    bool in_order =
        w->ring_count == 0 || s->key >= w->slots[w->ring[ring_place(w, w->ring_count - 1)]].key;
    if (in_order)
        w->ring[ring_place(w, w->ring_count++)] = i;
    else
        rt_heap_set(&w->late, i, s->key, s->row.id);
}

/* Reads rows until the window is full, the file ends or something is wrong. */
static void fill(struct rt_window *w)
{
    while (!w->ended && !w->failed && w->free_count > 0) {
        if (w->parked != NONE && !settle_parked(w))
            return;
        uint32_t i = w->free_slots[w->free_count - 1];
        struct slot *s = &w->slots[i];
        int found = rt_trace_read(w->trace, &s->row, &w->failure);
        if (found <= 0) {
            w->ended = found == 0;
            w->failed = found < 0;
            return;
        }
        if (rt_time_map_row(&w->map, &s->row) < w->last_key) {
            fail_late(w, s);
            return;
        }
        w->free_count--;
        place_row(w, i);
    }
}

/* The slot that comes next, or NONE. */
static uint32_t least(const struct rt_window *w, bool *in_ring)
{
    const struct rt_heap_node *late = rt_heap_top(&w->late);
    *in_ring = w->ring_count > 0;
    if (w->ring_count == 0)
        return late != NULL ? late->item : NONE;
    uint32_t first = w->ring[w->ring_first];
    const struct slot *s = &w->slots[first];
    if (late != NULL && (late->time < s->key || (late->time == s->key && late->tie < s->row.id))) {
        *in_ring = false;
        return late->item;
    }
    return first;
}

bool rt_window_prime(struct rt_window *w, int64_t *first_ns, struct rt_err *err)
{
    bool in_ring;
    fill(w);
    uint32_t first = least(w, &in_ring);
    if (first != NONE) {
        *first_ns = w->slots[first].row.arrival_ns;
        return true;
    }
    if (w->failed) {
        *err = w->failure;
        return false;
    }
    uint64_t left_out = rt_trace_counts(w->trace).left_out;
    if (left_out > 0)
        (void)rt_fail(err, RT_ETRACE,
                      "expected requests, read no requests (%" PRIu64
                      " rows of format %s were left out: no requests, or dropped)",
                      left_out, w->trace->info.format);
    else
        (void)rt_fail(err, RT_ETRACE, "expected requests, read no requests (the trace is empty)");
    return rt_fail_in(err, "%s", w->trace->lines.path);
}

/* Rows in the ring, whose keys a spread may have put out of order, move to the heap. */
static void empty_ring(struct rt_window *w)
{
    for (uint32_t n = 0; n < w->ring_count; n++) {
        uint32_t i = w->ring[ring_place(w, n)];
        rt_heap_set(&w->late, i, w->slots[i].key, w->slots[i].row.id);
    }
    w->ring_first = w->ring_count = 0;
}

void rt_window_map(struct rt_window *w, const struct rt_time_map *map)
{
    assert(w->given == NONE);
    w->map = *map;
    for (uint32_t n = 0; n < w->ring_count; n++) {
        struct slot *s = &w->slots[w->ring[ring_place(w, n)]];
        s->key = rt_time_map_row(map, &s->row); /* monotone without spread: stays in order */
    }
    for (uint32_t i = 0; w->late.count > 0 && i < SLOTS; i++) {
        if (!rt_heap_has(&w->late, i))
            continue;
        struct slot *s = &w->slots[i];
        s->key = rt_time_map_row(map, &s->row);
        rt_heap_set(&w->late, i, s->key, s->row.id);
    }
    if (map->spread_ns > 0)
        empty_ring(w);
}

int rt_window_next(struct rt_window *w, const struct rt_request **out, int64_t *key,
                   struct rt_err *err)
{
    if (w->given != NONE)
        release_slot(w, w->given);
    w->given = NONE;
    fill(w);
    bool in_ring;
    uint32_t i = least(w, &in_ring);
    if (i == NONE) {
        if (w->failed)
            *err = w->failure;
        return w->failed ? -1 : 0;
    }
    if (in_ring) {
        w->ring_first = ring_place(w, 1);
        w->ring_count--;
    } else {
        rt_heap_remove(&w->late, i);
    }
    w->given = i;
    w->last_key = *key = w->slots[i].key;
    w->last_arrival_ns = w->slots[i].row.arrival_ns;
    *out = &w->slots[i].row;
    return 1;
}

bool rt_window_rewind(struct rt_window *w, struct rt_err *err)
{
    forget_rows(w);
    return rt_trace_rewind(w->trace, err);
}

uint64_t rt_window_unsorted(const struct rt_window *w)
{
    return w->unsorted;
}
