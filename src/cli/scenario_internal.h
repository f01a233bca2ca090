/* scenario_options.c merges a scenario file and options into one document; scenario_engine.c is the
 * part that knows presets and pasted command lines. */
#ifndef RT_SCENARIO_INTERNAL_H
#define RT_SCENARIO_INTERNAL_H

#include "rooftrace/engine_args.h"
#include "rooftrace/options.h"
#include "rooftrace/scenario.h"

struct cJSON;

/* What stderr says when the scenario is complete. */
struct scenario_notes {
    char kept[256]; /* keys of the file that win over --preset */
};

/* A document under construction; `ok` turns false when memory is out. */
struct scenario_builder {
    const struct rt_options *o;
    const char *file;                    /* of the scenario, or NULL */
    const struct rt_engine_args *pasted; /* keys NULL: none */
    struct scenario_notes *notes;
    bool sizing; /* --slo means something else; the GPU may come later */
    struct cJSON *root;
    bool ok;
};

/* Replaces the member `key` by `value`, which it takes over; NULL stands for memory that is out. */
void scenario_put(struct scenario_builder *b, struct cJSON *object, const char *key,
                  struct cJSON *value);
/* The object under `key`, made when absent; NULL when something else stands there (the parser of
 * the whole document will say so) or memory is out. */
struct cJSON *scenario_section(struct scenario_builder *b, struct cJSON *object, const char *key);
/* Does the text name the file of a record, and not a record of the catalogue? */
bool scenario_names_record(const char *text);

/* scenario_items.c. cJSON prints some doubles as a neighbour: these keep every bit. NULL: out of
 * memory. */
struct cJSON *scenario_double_item(double value);
void scenario_keep_numbers(struct scenario_builder *b, struct cJSON *node);
/* A path given on the command line, as the scenario's file would have to write it. */
struct cJSON *scenario_path_item(const struct scenario_builder *b, const char *path);
/* The options that are ranges are, and those that exclude each other are not given together. */
bool scenario_check_ranges(const struct rt_options *o, struct rt_err *err);
/* "A:B" or "A,B" that has passed this check. */
struct cJSON *scenario_range_item(const char *text);
/* "P" or "P,P,...", for the reader of scenarios to judge: what is no number stays a text. */
struct cJSON *scenario_shares_item(const char *text);

/* scenario_load.c: what --rate-profile says, as the object of a scenario; the text itself where it
 * is none, for the reader of scenarios to judge. NULL: out of memory. */
struct cJSON *scenario_profile_item(const char *text);
/* Likewise --router-weights. */
struct cJSON *scenario_weights_item(const char *text);
/* --superpose N:SHIFT_S as the key superpose. */
struct cJSON *scenario_superpose_item(const char *text);
/* The number, or the text where it is none ("inf"). */
struct cJSON *scenario_number_item(const char *text);

/* scenario_roles.c: --prefill-replicas and --decode-replicas, before other options on pools. */
bool scenario_roles_given(const struct rt_options *o);
bool scenario_put_roles(struct scenario_builder *b, struct rt_err *err);

/* scenario_price.c: --price for every pool, over what the file says. */
void scenario_put_price(struct scenario_builder *b);

/* scenario_supply.c: options on autoscaling and failures, for every pool. */
void scenario_put_supply(struct scenario_builder *b);
bool scenario_supply_given(const struct rt_options *o);

/* The preset for every pool. Notes what the file says itself about the engine. */
void scenario_put_preset(struct scenario_builder *b, const char *preset);
/* What --engine-args said, for every pool. */
void scenario_put_pasted(struct scenario_builder *b);
/* What of it needs the GPU. */
void scenario_settle_fp8(const struct scenario_builder *b, struct rt_scenario *s);

#endif
