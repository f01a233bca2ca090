/* catalog_internal.h: what the readers of catalogue records share.
 *
 *     gpus.json ---> rt_gpu_defaults_read                       models.json ---> rt_model_read ---+
 *          \------> rt_gpu_draft_read (base first, then         config.json ---> rt_hf_read ------+
 *                   changes) ---> rt_gpu_draft_finish                              rt_model_check
 *
 * A record is read into a value; nothing here owns memory except rt_labels. */
#ifndef RT_CATALOG_INTERNAL_H
#define RT_CATALOG_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/hist.h" /* rt_u128 */
#include "rooftrace/json.h"
#include "rooftrace/model.h"
#include "rooftrace/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The compiled-in files; each ends in a NUL. */
extern const char rt_catalog_gpus_json[];
extern const char rt_catalog_models_json[];

/* Where a record stands decides what it must say. */
enum rt_record_kind {
    RT_RECORD_CATALOGUE, /* in a catalogue file: lower-case name, every number with its source */
    RT_RECORD_OWN,       /* a user's file or object: sources are welcome */
    RT_RECORD_CHANGE     /* an object with "base": only what differs */
};

/* ---- parts that all records have (catalog_record.c) ------------------------------------------ */

/* Copies printable ASCII text of at most size - 1 bytes; an absent key leaves `out` alone. */
bool rt_record_text(const struct rt_json_at *at, const char *key, char *out, size_t size,
                    struct rt_err *err) RT_MUST_USE;
/* The record's "name"; needed unless the record is a change. */
bool rt_record_name(const struct rt_json_at *at, enum rt_record_kind kind, char out[RT_NAME_SIZE],
                    struct rt_err *err) RT_MUST_USE;
/* "aliases": texts; "uncertain": names among `fields`; "note": a text. */
bool rt_record_notes(const struct rt_json_at *at, const char *const *fields, unsigned count,
                     struct rt_err *err) RT_MUST_USE;
/* "sources": texts keyed by a name among `fields`, the first of which is "*": all that has no own
 * entry. In a catalogue record both are needed. */
bool rt_record_sources(const struct rt_json_at *at, enum rt_record_kind kind,
                       const char *const *fields, unsigned count, struct rt_err *err) RT_MUST_USE;
/* The value at an array's element. */
bool rt_record_item_text(const struct rt_json_at *at, const char **out,
                         struct rt_err *err) RT_MUST_USE;
bool rt_record_item_number(const struct rt_json_at *at, double *out,
                           struct rt_err *err) RT_MUST_USE;
/* Fails unless sources has an entry for `field`. */
bool rt_record_need_source(const struct rt_json_at *at, const char *field,
                           struct rt_err *err) RT_MUST_USE;

struct rt_record_number {
    const char *key;
    size_t offset; /* of a double in the record */
    double min, max;
    double unit; /* the JSON's in SI */
};
/* Reads a number if it is there; *given says whether it was. */
bool rt_record_number_read(const struct rt_json_at *at, const struct rt_record_number *n,
                           void *record, bool *given, struct rt_err *err) RT_MUST_USE;

/* ---- names and aliases (catalog_labels.c) ---------------------------------------------------- */

struct rt_label {
    const char *text; /* owned by the document it was read from */
    unsigned record;
    bool alias;
};

struct rt_labels {
    struct rt_label *items; /* after rt_labels_sort: in folded order, no two equal */
    unsigned count, capacity;
};

/* Order without regard to case, with '_' and blank as '-'. */
int rt_label_compare(const char *a, const char *b);
void rt_labels_release(struct rt_labels *l);
bool rt_labels_add(struct rt_labels *l, const char *text, unsigned record, bool alias,
                   struct rt_err *err) RT_MUST_USE;
/* Sorts; two equal ones are an error that names them at the place `at`. */
bool rt_labels_sort(struct rt_labels *l, const struct rt_json_at *at,
                    struct rt_err *err) RT_MUST_USE;
bool rt_labels_find(const struct rt_labels *l, const char *text, unsigned *record);
/* `did you mean "x"?` (names and aliases) or `one of ...` (names) into buf; returns buf. */
const char *rt_labels_suggest(const struct rt_labels *l, const char *text, char *buf,
                              unsigned size);

/* ---- constants of a GPU (gpu_constants.c) ---------------------------------------------------- */

/* Adds what the object states to *k; *given gets a bit for each. */
bool rt_gpu_constants_read(const struct rt_json_at *at, struct rt_gpu_constants *k, rt_u128 *given,
                           struct rt_err *err) RT_MUST_USE;
/* Fails unless all are given, or all that are given have their group's source in the record. */
bool rt_gpu_constants_need(const struct rt_json_at *at, rt_u128 given,
                           struct rt_err *err) RT_MUST_USE;
bool rt_gpu_constants_need_sources(const struct rt_json_at *record, rt_u128 given,
                                   struct rt_err *err) RT_MUST_USE;
/* Are those of the group given, all of them? */
bool rt_gpu_constants_complete(const char *group, rt_u128 given);
/* Takes those that are not given from another GPU. */
void rt_gpu_constants_fill(struct rt_gpu_constants *k, rt_u128 given,
                           const struct rt_gpu_constants *from);

/* ---- GPUs (catalog_gpu.c) -------------------------------------------------------------------- */

/* All-reduce of an unseen GPU with one kind of link. */
struct rt_link_defaults {
    double latency_s, library_s;     /* the engine's own kernel, the library */
    double bus_share, library_share; /* their rates as shares of the link's */
};

/* What an unseen GPU gets. */
struct rt_gpu_defaults {
    struct rt_gpu_constants k;    /* all-reduce: where the link's rate is not known */
    double reference_bytes_per_s; /* elementwise traffic of k was measured at this bandwidth */
    struct rt_link_defaults link[RT_LINK_COUNT];
    /* efficiencies where fp32 accumulation halves the tensor rate (GeForce) */
    double half_rate_gemm, half_rate_prefill;
};

struct rt_gpu_draft {
    struct rt_gpu gpu;
    rt_u128 given; /* one bit a constant that the record states; gpu_constants.c */
};

bool rt_gpu_defaults_read(const struct rt_json_at *at, struct rt_gpu_defaults *out,
                          struct rt_err *err) RT_MUST_USE;
void rt_gpu_draft_init(struct rt_gpu_draft *d);
/* Adds a record to the draft; what it does not state keeps its value. */
bool rt_gpu_draft_read(struct rt_gpu_draft *d, const struct rt_json_at *at,
                       enum rt_record_kind kind, struct rt_err *err) RT_MUST_USE;
/* Fills constants that nobody stated. */
void rt_gpu_draft_finish(const struct rt_gpu_draft *d, const struct rt_gpu_defaults *defaults,
                         struct rt_gpu *out);

/* ---- models (catalog_model.c, hf_config.c) --------------------------------------------------- */

#define RT_MODEL_MAX_LAYERS 65536
#define RT_MODEL_MAX_WIDTH  16777216 /* hidden, ffn, vocab, ranks, head sizes */
#define RT_MODEL_MAX_HEADS  65536
/* catalog_price.c: [low, high] of each kind of price, 0 where none is told */
bool rt_price_ranges_read(const struct rt_json_at *at, struct rt_price price[RT_PRICING_COUNT],
                          struct rt_err *err) RT_MUST_USE;
/* Every price that is stated has a source with a date. */
bool rt_price_sources_check(const struct rt_json_at *at, struct rt_err *err) RT_MUST_USE;

#define RT_MODEL_MAX_EXPERTS 65536
#define RT_MODEL_MAX_TOKENS  1099511627776 /* 2^40 */

void rt_model_init(struct rt_model *m);
/* Reads our own JSON into *m; what it does not state keeps its value. */
bool rt_model_read(const struct rt_json_at *at, enum rt_record_kind kind, struct rt_model *m,
                   struct rt_err *err) RT_MUST_USE;
/* Rules between fields: heads are a multiple of KV heads, a dense layer has a width, ... */
bool rt_model_check(const struct rt_model *m, const struct rt_json_at *at,
                    struct rt_err *err) RT_MUST_USE;

/* Is this object a Hugging Face config.json rather than our own? */
bool rt_hf_is_config(const struct rt_json_at *at);
bool rt_hf_read(const struct rt_json_at *at, struct rt_model *m, struct rt_err *err) RT_MUST_USE;

/* What a model type (config.json: model_type) does when its file does not say (hf_family.c). */
enum {
    RT_HF_TIED = 1,      /* input embedding is the LM head */
    RT_HF_PLAIN_MLP = 2, /* up and down, no gate */
    RT_HF_QKV_BIAS = 4,
    RT_HF_O_BIAS = 8,
    RT_HF_MLP_BIAS = 16,
    RT_HF_QK_NORM = 32,
    RT_HF_MQA = 64,         /* multi_query is true unless the file says otherwise */
    RT_HF_WINDOW_OPT = 128, /* sliding_window counts only with use_sliding_window */
    RT_HF_ALL_BIASES = RT_HF_QKV_BIAS | RT_HF_O_BIAS | RT_HF_MLP_BIAS
};

struct rt_hf_family {
    const char *model_type;
    unsigned flags;
    int64_t window_pattern; /* every n-th layer sees everything; 0: all layers have the window */
    int64_t heads, kv_heads, head_dim, vocab, max_context; /* 0: the file must say */
};

const struct rt_hf_family *rt_hf_family(const char *model_type); /* unknown: as llama */
/* Why this type cannot be priced at all, or NULL. */
const char *rt_hf_refused(const char *model_type);

#endif
