/* replica/finished.h: what is known about a request that left the system. One row of table
 * `request`; times that never happened are RT_NEVER. Replicas add rows to a list, which carries
 * them to the writer. */
#ifndef RT_FINISHED_H
#define RT_FINISHED_H

#include "rooftrace/arena.h"
#include "rooftrace/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_NEVER      INT64_MIN
#define RT_NO_REPLICA UINT32_MAX

/* name, text */
/* clang-format off */
#define RT_STATUSES(X)                                                                             \
    X(OK, "ok")                                                                                    \
    X(REJECTED, "rejected")                                                                        \
    X(TIMEOUT, "timeout")                                                                          \
    X(CANCELLED, "cancelled")                                                                      \
    X(FAILED, "failed")                                                                            \
    X(UNFINISHED, "unfinished")
#define RT_REASONS(X)                                                                              \
    X(NONE, "")                                                                                    \
    X(KV, "kv")                                                                                    \
    X(PROMPT, "prompt")                                                                            \
    X(MAX_MODEL_LEN, "max_model_len")                                                              \
    X(ADMISSION, "admission")                                                                      \
    X(MODEL, "model")                                                                              \
    X(UNAVAILABLE, "unavailable")                                                                  \
    X(CRASH, "crash")
/* clang-format on */

enum rt_status {
#define X(name, text) RT_STATUS_##name,
    RT_STATUSES(X)
#undef X
        RT_STATUS_COUNT
};

enum rt_reason { /* of a rejection, or a failure */
#define X(name, text) RT_REASON_##name,
                 RT_REASONS(X)
#undef X
                     RT_REASON_COUNT
};

extern const char *const rt_status_names[RT_STATUS_COUNT];
extern const char *const rt_reason_names[RT_REASON_COUNT];

struct rt_prefill_part { /* of a request whose prompt another replica computed */
    uint32_t pool, replica;
    int64_t prefilled_ns; /* end of its prefill */
    int64_t kv_ready_ns;  /* its KV was where it decodes; RT_NEVER: it left before */
    int64_t moved_tokens; /* KV that took the link: of the prompt, less what was cached there */
};

struct rt_loss { /* of a request that was sent again because its replica was gone */
    uint32_t replica;
    int64_t lost_ns;
    int64_t sent_ns; /* the next one took it; RT_NEVER: it left before */
};

struct rt_finished {
    uint64_t id;
    int64_t arrival_ns;
    int64_t scheduled_ns;   /* start of the first step that contains it */
    int64_t first_token_ns; /* end of the step that gave the first token */
    int64_t finish_ns;      /* end of the step that gave the last one */
    int64_t max_itl_ns;     /* longest gap between two of its tokens; RT_NEVER with one token */
    int64_t prompt_tokens, output_tokens; /* as asked */
    int64_t produced_tokens;              /* output_tokens when ok, less otherwise */
    int64_t cached_tokens; /* prompt tokens found in the prefix cache at first admission */
    int64_t
        preempted_ns; /* from each preemption, or loss of its replica, to the first step after */
    int64_t client_wait_ns; /* in the client's queue, before arrival_ns; 0: it had none */
    int64_t left_ns;        /* when it left the system; the run's end where it did not */
    uint32_t preemptions;
    uint32_t pool, replica; /* RT_NO_REPLICA when it never reached one */
    uint32_t class_name;    /* for rt_source_name */
    uint32_t class_spec;    /* its place in the scenario's `classes` + 1; 0: it is not there */
    uint8_t status, reason; /* enum rt_status, enum rt_reason */
    uint16_t retries;       /* times it lost its replica and was sent again */
    /* Owned by the chunk that carries the row: */
    const char *session;                   /* or NULL */
    const struct rt_prefill_part *prefill; /* NULL: one replica did it all, or it got no further */
    const struct rt_loss *losses;          /* [retries], in order */
};

/* Rows that wait to be handed on, and the texts they point to. */
struct rt_finished_list {
    struct rt_finished *rows;
    size_t count, capacity;
    struct rt_arena text;
};
void rt_finished_list_init(struct rt_finished_list *l);
void rt_finished_list_release(struct rt_finished_list *l);
void rt_finished_list_reset(struct rt_finished_list *l); /* empties, keeps memory */
/* Appends a copy; row->session is copied into l->text. false: out of memory. */
bool rt_finished_list_add(struct rt_finished_list *l, const struct rt_finished *row) RT_MUST_USE;

#endif
