/* replica_internal.h: the inside of one replica, shared by the files of this folder.
 *
 * A replica is one or several data parallel ranks (replica.c: who gets a request), each a serving
 * engine of its own with queue, KV blocks and batches; ranks that step together share a pipeline
 * (pipeline.c). Most of this folder is about one rank:
 *
 *      push                form (policy)                 start            complete
 *   ----------> waiting -----------------> running batch ------> clock -----------> finished rows
 *                  ^                         |   prefill, then decode set
 *                  +------- preemption ------+
 *
 * Running sequences are in admission order, whatever the queue order. All of them decode, one token
 * a step (some more with speculative decoding: speculate.c), except at most one whose prompt is
 * still partly computed: the last admitted, `partial`. (A chunk that does not finish its prompt
 * uses up the budget, so nobody is admitted behind it; and as nobody is admitted without budget,
 * the decodes never outnumber it.) Decoding sequences therefore advance together, in rounds (a
 * round is a step that contains the decodes; prefill_first has steps without), and live in sums,
 * the decode set; a sequence's own numbers are those of the round it joined after.
 *
 * With pipeline parallelism up to P batches are on their way, and a sequence is in one of them at a
 * time, so sequences fall into cohorts that keep stepping together: P lanes, each with its decode
 * set and its batch, over one queue, one running list and one pool of blocks. A sequence belongs to
 * the lane whose batch computed the last of its prompt. What is said above of all running sequences
 * then holds of a lane's, apart from `partial`, which is the rank's: chunks of a prompt may follow
 * each other in the batches of different lanes. `lane` is the one whose batch is formed, begins or
 * ends; without a pipeline there is no other, and only then a rank coasts. */
#ifndef RT_REPLICA_INTERNAL_H
#define RT_REPLICA_INTERNAL_H

#include "decode_set_internal.h"
#include "gaps_internal.h"
#include "rooftrace/arena.h"
#include "rooftrace/crash.h"
#include "rooftrace/decode_run.h"
#include "rooftrace/engine.h"
#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/hand_over.h"
#include "rooftrace/heap.h"
#include "rooftrace/hist.h"
#include "rooftrace/replica.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/request.h"
#include "rooftrace/step.h"
#include "rooftrace/step_list.h"
#include "rooftrace/token_stats.h"

#define SEQ_NONE    RT_SLAB_NONE
#define COAST_STEPS 256u /* steps planned ahead at once */
#define COAST_NS                                                                                   \
    (INT64_C(3600) * 1000000000) /* and simulated time, so that seconds leave the ring in order */

enum seq_state {
    SEQ_WAITING,
    SEQ_PREFILL, /* its prompt (or recomputed tokens) is partly in KV */
    SEQ_DECODE,  /* in the decode set */
    SEQ_LAST,    /* its last token is in flight: holds blocks and seat until the step ends */
    SEQ_GONE,    /* the same, but preempted meanwhile: waits, and finishes all the same */
    SEQ_PAUSED,  /* waits; was decoding, and its KV is in CPU memory */
    /* In none of the two lists; hand_over.c: */
    SEQ_EXPECTED, /* its KV is with another replica, and there is no room for it yet */
    SEQ_LOADING,  /* has blocks; its KV is on its way */
    SEQ_ARRIVED   /* its KV is here; joins the decodes with the next batch */
};

struct seq { /* a request inside the replica */
    uint64_t id;
    uint64_t admission; /* rank in the running order */
    uint64_t rank;      /* in order of arrival */
    int64_t arrival_ns;
    int64_t key_ns; /* place in the queue, ties by rank; queue_order.c */
    int64_t prompt, output;
    int64_t produced; /* tokens that appear with steps up to join_step */
    int64_t kv;       /* tokens in KV after join_step (decode), or now (prefill) */
    union {
        int64_t target;      /* tokens to compute before the next one can appear, as of admission */
        int64_t sure_itl_ns; /* preempted, not readmitted yet: its max_itl_ns without the round that
                                was in progress then */
    };
    int64_t join_round;  /* decode round formed last when it completed its prefill */
    int64_t join_tokens; /* decode.tokens then */
    int64_t gap_round;   /* its gaps in rounds after this one are those of the stack */
    int64_t scheduled_ns, first_token_ns, last_token_ns, max_itl_ns;
    /* Preempted last at the start of the step formed then (INT64_MAX: never), or lost by another
     * replica at that instant, until the start of the step that readmits it (INT64_MAX: not yet);
     * how long it was away before that. */
    int64_t away_from_ns, away_to_ns, away_before_ns;
    int64_t cached;
    int64_t swapped, swapped_kv; /* blocks in CPU memory while it waits, tokens in them */
    char *session;               /* owned, or NULL */
    /* Prefix caching only: the blocks it holds, and names of blocks. */
    uint32_t *blocks;   /* owned */
    uint64_t *hash_ids; /* owned, or NULL */
    int64_t named;      /* leading tokens of prompt and answer that these name */
    uint32_t block_count, block_capacity, hash_count;
    uint32_t published;              /* leading blocks already offered to the cache */
    uint32_t phase_prev, phase_next; /* in decode_set.members */
    uint32_t run;                    /* of free blocks that are still its own; retained.c */
    uint32_t preemptions, class_name;
    uint32_t prev, next; /* in waiting or running */
    uint16_t lane;       /* of the batch that gave, or gives, its last token */
    uint8_t state;
    bool newly_joined; /* its first round is to come (policies that pause decodes; swapped in) */
};

struct seq_list {
    uint32_t head, tail;
    int64_t count;
};

struct emission { /* a sequence whose gap before its token of this step is its own */
    uint32_t seq;
    int64_t gap_ns;     /* since its token before, -1: it is its first */
    int64_t longest_ns; /* its max_itl_ns before this gap, once the step has begun */
};

struct batch { /* what one step contains */
    struct rt_step_record record;
    bool mixed;                    /* its shape tells of more than a round of decodes */
    int64_t round;                 /* of the decode set, once this step is over */
    bool priced;                   /* what it costs by itself is known: */
    bool plain;                    /* rt_cost_is_plain */
    int64_t lasts_ns;              /* its duration, unless others or pipeline stages lengthen it */
    double terms_s[RT_TERM_COUNT]; /* its seconds, if it is not plain */
    int64_t yields;                /* tokens that appear at its end */
    int64_t gap_ns, gaps;          /* decodes' tokens since those before: how long, how many */
    int64_t
        waited_ns; /* of its duration: for the batch in front, or for longer ones of other ranks */
    int64_t dropped; /* decodes that were cancelled before it began */
    struct emission
        *emits;      /* whose prefill completes; capacity: max_num_seqs, so for the next two */
    uint32_t *fresh; /* admitted for the first time */
    uint32_t *last;  /* whose last token appears at the end, in batch order */
    uint32_t emit_count, fresh_count, last_count, capacity;
    int64_t moved_blocks; /* copied over PCIe in it: swap preemption */
    bool resumed;         /* it has decodes that were swapped in for it */
    bool preempted;       /* forming it preempted somebody: admission was not tried */
};

struct coast_plan {       /* the steps after the one in progress, in order */
    uint32_t count, next; /* planned; the first that has not begun */
    int64_t end_ns;       /* of the last planned step, or of the one in progress */
    int64_t *listed;      /* durations, [COAST_STEPS], from step 0; owned; NULL until needed */
    /* Where many replicas would not leave room for lists in the processor's caches, durations are
     * worked out again as steps are committed: of the step that had been formed ahead, if one had,
     * and of the rounds from `first` on. Without a line they are listed all the same. */
    uint32_t first; /* 1, or 0 */
    int64_t ahead_ns;
    struct rt_decode_run run; /* line: NULL if they lie on none */
    const int64_t *ns; /* while steps are committed: their durations, those before `next` not */
};

struct plain_steps { /* completed, of one number of decodes */
    uint64_t steps;
    rt_u128 context, low; /* summed over them; the latter up to the cost's knee each */
};

struct lane { /* a cohort of sequences that step together, and its batch */
    struct decode_set decode;
    struct gap_stack gaps;
    struct batch batches[2];
    struct batch *now;    /* the step in progress, or NULL */
    struct batch *ahead;  /* formed while it runs (asynchronous scheduling), or NULL */
    int64_t last_end_ns;  /* end of the step started last */
    int64_t round_end_ns; /* end of the last one that contained decodes */
};

struct remote {                                 /* what hand-over needs, in a rank with a role */
    bool keeps;                                 /* it is the prefill side */
    struct seq_list held;                       /* prefill: finished, their KV is still here */
    struct seq_list expected, loading, arrived; /* decode: by state, in order */
    struct rt_room *rooms; /* given, not told yet; capacity: for all that are expected, too */
    uint32_t room_count, room_capacity;
};

struct rank {
    struct lane *lane, *lanes; /* [lane_count], right behind the rank */
    uint32_t lane_count;
    bool piped;      /* steps begin and end by pipeline.c, which never coasts */
    int64_t form_ns; /* piped: what has appeared by then is known to the batch that is formed */
    const struct rt_engine_spec *engine; /* shared by the ranks of a pool */
    const struct rt_policy *policy;
    const struct rt_cost *cost, *draft_cost;
    struct rt_token_stats *stats;
    struct rt_step_list *steps; /* where steps that are over are recorded, or NULL */
    uint32_t pool, index;
    uint32_t number, numbers; /* this rank, of how many */
    bool coast;
    bool compact;          /* plans keep no list of durations */
    bool silent;           /* its tokens appear nowhere: hand_over.c */
    struct remote *remote; /* NULL without a role */

    struct rt_slab seqs;
    struct seq_list waiting, running;
    bool names_answers;            /* somebody's answer may be what another's prompt begins with */
    bool ordered;                  /* the queue order is not that of arrival: */
    struct rt_heap queue, victims; /* then the two lists in that order and in its reverse */
    uint64_t pushes;
    uint32_t newest;  /* taken last */
    uint32_t partial; /* the running sequence in prefill, or SEQ_NONE */
    uint64_t admissions;
    int64_t kv_blocks, free_blocks, watermark_blocks;
    struct kv_cache *kv; /* prefix caching with names of blocks: their identities, else NULL */
    struct retained *retained;           /* prefix caching without them, else NULL */
    int64_t listed_blocks;               /* free ones that it tells apart */
    int64_t cpu_blocks, cpu_free_blocks; /* swap preemption: KV blocks of CPU memory */
    int64_t moved_blocks;                /* copied since a step was formed last */
    double block_bytes, pcie_bytes_per_s;
    bool out_of_memory; /* met while a batch was formed */
    struct coast_plan plan;
    int64_t second_end_ns;           /* end of the second that second_tokens belong to */
    int64_t second_tokens;           /* not yet in the ring */
    struct rt_replica_totals totals; /* terms_s: as of the last rt_replica_totals */
    struct plain_steps *plain;       /* [plain_count], by decodes */
    int64_t plain_count;
    double terms_s[RT_TERM_COUNT]; /* busy seconds of all other steps */
};

/* A policy forms the next batch through the calls below. */
struct rt_policy {
    const char *name, *help;
    bool reserves_output;   /* blocks for prompt + output are taken at admission, none later */
    bool whole_prefill;     /* a prompt must fit into max_num_batched_tokens */
    bool keeps_watermark;   /* admission leaves watermark blocks free */
    bool recomputes_whole;  /* with whole_prefill: a preempted request must fit, too */
    bool speculates;        /* its decodes can verify drafts */
    bool pauses_decodes;    /* there are steps without the decodes */
    bool takes_kv;          /* its form calls remote_join: role decode */
    bool needs_spare_block; /* a decode runs only while a block is free, even if it needs none */
    void (*form)(struct rank *r, struct batch *b);
};
const struct rt_policy *policy_at(unsigned i);

static inline struct seq *seq_at(const struct rank *r, uint32_t i)
{
    return rt_slab_at(&r->seqs, i);
}

static inline struct lane *lane_of(const struct rank *r, const struct seq *q)
{
    return &r->lanes[q->lane];
}

/* The place of r->lane in r->lanes. */
static inline uint16_t lane_number(const struct rank *r)
{
    return (uint16_t)(r->lane - r->lanes);
}

/* Of the rounds formed, those whose steps are over. */
static inline int64_t completed_rounds(const struct lane *l)
{
    int64_t rounds = l->decode.round;
    if (l->ahead && l->ahead->record.shape.decodes > 0)
        rounds--;
    if (l->now && l->now->record.shape.decodes > 0)
        rounds--;
    return rounds;
}

/* The engine knows all of its tokens: none is still on its way as the batch is formed. */
static inline bool tokens_known(const struct rank *r, const struct seq *q)
{
    return !r->piped || (q->state != SEQ_GONE && q->last_token_ns <= r->form_ns);
}

/* How long it was preempted, as of an instant at or after the last step begun; in a pipeline also
 * of an earlier one, where only the last preemption is told as of then. */
static inline int64_t seq_preempted_ns(const struct seq *q, int64_t now_ns)
{
    int64_t to_ns = q->away_to_ns < now_ns ? q->away_to_ns : now_ns;
    if (to_ns <= q->away_from_ns)
        return q->away_before_ns;
    return q->away_before_ns + (to_ns - q->away_from_ns);
}

static inline int64_t blocks_for(const struct rank *r, int64_t tokens)
{
    return (tokens + r->engine->block_size - 1) / r->engine->block_size;
}

/* lists.c */
void seq_list_init(struct seq_list *l);
void seq_push_tail(struct rank *r, struct seq_list *l, uint32_t i);
void seq_push_head(struct rank *r, struct seq_list *l, uint32_t i);
void seq_unlink(struct rank *r, struct seq_list *l, uint32_t i);

/* hand_over.c: requests whose prompt one replica computes and whose answer another one gives */
bool remote_init(struct rank *r, enum rt_role role);
void remote_free(struct rank *r);
/* A prompt is computed: its sequence leaves the batch, not its blocks. */
void remote_keep(struct rank *r, uint32_t i);
/* Blocks for those that are expected, while there are. */
bool remote_give_rooms(struct rank *r, struct rt_err *err);
/* Those whose KV is here, while they fit beside the decodes and those are fewer than budget; but
 * none beside decodes that are left when somebody was preempted. */
void remote_join(struct rank *r, struct batch *b, int64_t budget);
void remote_leave(struct rank *r, uint32_t i); /* with what it holds */
/* KV tokens a sequence brings, and the blocks kept free for its next token when those are full. */
int64_t remote_kv(const struct seq *q);
int64_t remote_spare(const struct rank *r, const struct seq *q);
/* While steps are alike it is nobody's turn: neither to join nor to get a room. */
bool remote_is_quiet(const struct rank *r);
bool rank_release_kv(struct rank *r, uint32_t i, int64_t now_ns, struct rt_err *err);
bool rank_expect(struct rank *r, const struct rt_request *req, const struct rt_handed *handed,
                 int64_t now_ns, struct rt_err *err);
bool rank_kv_arrived(struct rank *r, uint32_t i, int64_t now_ns, struct rt_err *err);
static inline bool seq_is_remote(const struct seq *q)
{
    return q->state >= SEQ_EXPECTED;
}
/* Waits for the next batch only. */
static inline bool remote_joins(const struct rank *r)
{
    return r->remote && r->remote->arrived.count > 0;
}
/* Everybody who is here and does not run. */
static inline int64_t rank_waiting(const struct rank *r)
{
    const struct remote *m = r->remote;
    return r->waiting.count + (m ? m->expected.count + m->loading.count + m->arrived.count : 0);
}

/* queue_order.c */
bool queue_order_is_arrival(unsigned i);

/* queue.c */
bool queue_reserve(struct rank *r, uint32_t seqs);
void queue_release(struct rank *r);
uint32_t queue_head(const struct rank *r); /* next to admit, or SEQ_NONE */
/* Would a request that comes now with this key be the head? */
bool queue_would_lead(const struct rank *r, int64_t key_ns);
void queue_join(struct rank *r, uint32_t i);   /* a new request */
void queue_return(struct rank *r, uint32_t i); /* a preempted one */
void queue_leave(struct rank *r, uint32_t i);
void running_join(struct rank *r, uint32_t i);
void running_leave(struct rank *r, uint32_t i);
uint32_t running_victim(const struct rank *r); /* last in queue order, or SEQ_NONE */

/* rank.c: one serving engine; as the calls of replica.h and crash.h */
size_t rank_bytes(const struct rt_replica_spec *spec);
/* In rank_bytes of zeros, which stay the caller's. After a failure, too, it has to be released. */
bool rank_init(struct rank *r, const struct rt_replica_spec *spec, uint32_t number,
               struct rt_err *err);
void rank_release(struct rank *r);
/* Asks for what every event touches beside the rank's own memory. Changes nothing. */
void rank_prefetch(const struct rank *r);
enum rt_reason rank_push(struct rank *r, const struct rt_request *req,
                         const struct rt_progress *past, int64_t now_ns, struct rt_err *err);
enum rt_reason rank_refuses(const struct rank *r, const struct rt_request *req,
                            const struct rt_progress *past); /* rule 4 */
/* A sequence of the request, in no list yet: r->newest. */
bool rank_new_seq(struct rank *r, const struct rt_request *req, int64_t key_ns, struct rt_err *err);
bool rank_busy(const struct rank *r);
bool rank_schedule(struct rank *r, int64_t now_ns, struct rt_err *err);
int64_t rank_next_ns(const struct rank *r);
bool rank_step_end(struct rank *r, int64_t now_ns, struct rt_finished_list *out,
                   struct rt_err *err);
struct rt_replica_gauges rank_gauges(struct rank *r, int64_t now_ns);
bool rank_abort(struct rank *r, int64_t now_ns, struct rt_finished_list *out, struct rt_err *err);
const struct rt_replica_totals *rank_totals(struct rank *r);
/* Whatever was formed ahead has not begun: its first tokens are not in flight. */
void rank_undo_ahead(struct rank *r);
/* cancel.c, crash.c, ask.c */
/* Everything that is over by now is committed; what is planned is void. */
bool rank_stop_at(struct rank *r, int64_t now_ns, struct rt_err *err);
bool rank_crash(struct rank *r, int64_t now_ns, struct rt_lost_list *out, struct rt_err *err);
void rank_adopt(struct rank *r, struct rank *from); /* what it has counted */
bool rank_cancel(struct rank *r, uint32_t i, enum rt_status status, int64_t now_ns,
                 struct rt_finished_list *out, struct rt_err *err);
int64_t rank_cached_tokens(struct rank *r, const struct rt_request *req, int64_t now_ns);
int64_t rank_backlog_tokens(struct rank *r, int64_t now_ns);
int64_t rank_busy_until(struct rank *r, int64_t now_ns);
/* What is known of q as a row: unfinished, as of now. */
struct rt_finished seq_row(const struct rank *r, const struct seq *q, int64_t now_ns);
/* The same, with the tokens that have appeared; what was formed ahead is not begun. */
struct rt_finished seq_row_so_far(const struct rank *r, const struct seq *q, int64_t now_ns);
void seq_release(struct seq *q); /* what it owns */
/* Starts the step formed ahead, or forms one; forms the next one when scheduling is asynchronous.
 * No step runs; afterwards one does, unless there is nothing to do. */
bool rank_begin_step(struct rank *r, int64_t now_ns, struct rt_err *err);

/* speculate.c */
uint64_t speculated_mean(const struct rt_speculative *s); /* tokens a round * 2^32; 0: off */
/* Tokens of KV beyond its own that a decode holds blocks for. */
static inline int64_t decode_drafts(const struct rank *r)
{
    return r->lane->decode.width - 1;
}
/* How many a request can need at the most beyond prompt and output. One that lacks a token before
 * its last round gets at most k more than it wants, and k drafts stand behind those; reserved
 * blocks are those of the last round's positions. */
static inline int64_t speculated_margin(const struct rank *r)
{
    return decode_drafts(r) * (r->policy->reserves_output ? 1 : 2);
}
void price_drafts(const struct rank *r, struct rt_step_shape *s); /* sets draft_s */
static inline void add_drafts(const struct rank *r, struct rt_step_shape *s)
{
    if (r->lane->decode.per_round != 0)
        price_drafts(r, s);
}

/* form.c: what a policy may do while it forms a batch */
void batch_add_decodes(struct rank *r, struct batch *b); /* all; takes crossing blocks */
void batch_add_prefill(struct rank *r, struct batch *b, uint32_t i, int64_t tokens);
void admit_head(struct rank *r, struct batch *b);   /* to running; takes the cached prefix */
void preempt_last(struct rank *r, struct batch *b); /* in queue order, of those that run */
/* Forms the next batch into *b, whose step will start at start_ns; shape.tokens == 0: nothing to
 * do. */
bool batch_form(struct rank *r, struct batch *b, int64_t start_ns, struct rt_err *err);
/* Forms into *b what follows the step in progress: asynchronous scheduling. */
bool form_ahead(struct rank *r, struct batch *b, struct rt_err *err);
void batch_retire(struct rank *r, struct batch *b); /* decodes whose last round is b's: */
static inline void batch_retire_decodes(struct rank *r, struct batch *b)
{
    const struct rt_heap_node *next = rt_heap_top(&r->lane->decode.finish);
    if (next && next->time <= r->lane->decode.tokens)
        batch_retire(r, b);
}

/* check.c */
void rank_check(const struct rank *r); /* asserts the invariants; debug builds only */

/* The head of the queue if a seat is free and it has something to compute; else SEQ_NONE. */
static inline uint32_t next_to_admit(const struct rank *r)
{
    uint32_t i = queue_head(r);
    if (i == SEQ_NONE || r->running.count >= r->engine->max_num_seqs)
        return SEQ_NONE;
    return seq_at(r, i)->state == SEQ_PAUSED || !tokens_known(r, seq_at(r, i)) ? SEQ_NONE : i;
}

/* swap.c */
/* Copies its KV to CPU memory, if there is room: it will not be recomputed. Still holds its blocks.
 */
bool swap_out(struct rank *r, struct seq *q);
void swap_in(struct rank *r, struct seq *q); /* its tokens are in KV again */
/* Heads of the queue that were decoding, while they fit beside the decodes and those are fewer than
 * budget. */
void resume_swapped(struct rank *r, struct batch *b, int64_t budget);

/* kv.c */
struct kv_prefix {               /* the longest leading run of cached blocks */
    int64_t blocks, free_blocks; /* how many on the GPU; those of them nobody holds */
    int64_t offloaded;           /* how many between and behind them are in CPU memory */
};
bool kv_init(struct rank *r, const struct rt_replica_spec *spec);
void kv_free(struct rank *r);
int64_t seq_blocks(const struct rank *r, const struct seq *q); /* KV blocks it holds */
void kv_take(struct rank *r, struct seq *q, int64_t count);
void kv_take_count(struct rank *r, int64_t count); /* without identities, for anybody */
void kv_take_crossings(struct rank *r);            /* one for each decode that needs one next */
void kv_release(struct rank *r, uint32_t i);
struct kv_prefix kv_find_prefix(struct rank *r, const struct seq *q);
void kv_share_prefix(struct rank *r, struct seq *q);          /* what kv_find_prefix found last */
void kv_publish_batch(struct rank *r, const struct batch *b); /* blocks the batch fills */
void kv_publish(struct rank *r, struct seq *q);               /* all that q->kv tokens fill */

/* retained.c */
bool retained_init(struct rank *r);
void retained_free(struct rank *r);
void retained_take(struct rank *r); /* there are fewer free blocks than are listed */
void retained_release(struct rank *r, uint32_t i, int64_t count, int64_t keep);
int64_t retained_blocks(const struct rank *r, const struct seq *q); /* still there for it */
void retained_reclaim(struct rank *r, struct seq *q);               /* it holds them again */
void retained_disown(struct rank *r, struct seq *q);                /* it never will */
bool retained_is_sound(const struct rank *r);                       /* for rank_check */

/* coast.c */
void coast_plan(struct rank *r);
void coast_drop(struct rank *r); /* plan nothing beyond the step in progress */
/* The n-th planned step, from 0. */
struct rt_step_shape coast_shape(const struct rank *r, int64_t n);

/* coast_pass.c */
bool coast_pass(struct rank *r, int64_t before_ns, struct rt_err *err); /* where there are some: */
/* Commits the planned steps whose predecessors end before before_ns. */
static inline bool coast_commit(struct rank *r, int64_t before_ns, struct rt_err *err)
{
    const struct batch *now = r->lane->now;
    return !now || r->plan.next == r->plan.count || now->record.end_ns >= before_ns ||
           coast_pass(r, before_ns, err);
}

/* step_log.c: both do nothing when no record is wanted */
/* The step in progress is over; its totals are not added yet. */
bool step_log(struct rank *r, struct rt_err *err);
/* It is over, and so are all but the last of the `count` planned steps that begin. Nothing of r has
 * moved on yet. */
bool step_log_coasted(struct rank *r, uint32_t count, struct rt_err *err);

/* step.c */
/* What a batch costs by itself, once. false: out of memory. */
bool step_price(struct rank *r, struct batch *b);
bool step_fits_clock(int64_t start_ns, int64_t ns, struct rt_err *err);
/* The priced batch r->lane->now begins: what is known of its tokens from then on. */
bool step_begin(struct rank *r, int64_t start_ns, int64_t end_ns, struct rt_err *err);
/* Both, at start_ns: its duration, and what is known of its tokens from then on. */
bool step_start(struct rank *r, int64_t start_ns, struct rt_err *err);
/* The step in progress ends: its tokens appear, its last ones finish. */
bool step_complete(struct rank *r, struct rt_finished_list *out, struct rt_err *err);
bool step_make_room_for_gap(struct rank *r, struct rt_err *err); /* the gap stack is full */
/* The decodes' longest gap of the rounds up to this one since the last call. */
static inline bool step_note_gap(struct rank *r, int64_t round, int64_t gap_ns, struct rt_err *err)
{
    if (gap_is_full(&r->lane->gaps) && !step_make_room_for_gap(r, err))
        return false;
    gap_push(&r->lane->gaps, round, gap_ns);
    return true;
}
/* The gaps that end with the step, and its tokens, appear. */
void step_add_tokens(struct rank *r, const struct batch *b);
void step_account(struct rank *r, const struct batch *b); /* the same, and its totals: it is over */
/* plain[decodes] exists. */
bool step_reserve_plain(struct rank *r, int64_t decodes);
/* Tokens that appear at an instant, for the peak per second. */
void step_note_tokens(struct rank *r, int64_t tokens, int64_t at_ns);
void step_flush_second(struct rank *r);

#endif
