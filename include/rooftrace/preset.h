/* replica/preset.h: named defaults of serving engines, by version: the scenario's key
 * pools[].engine.preset.
 *
 * A preset gives defaults, no more: every key that is written wins over it. Some defaults of real
 * engines depend on the GPU or the model, so a preset acts twice: rt_preset_apply before the keys
 * are read, rt_preset_resolve after the GPU and the model are known. The resolved settings say
 * everything; the name stays with them as a label. O(1). */
#ifndef RT_PRESET_H
#define RT_PRESET_H

#include "rooftrace/engine.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"

#include <stdbool.h>
#include <stdint.h>

struct rt_preset {
    const char *name, *help;
    const char *source; /* where the numbers were read: program, version, file */
    const char *policy; /* as rt_policy_name has it */
    bool async_scheduling, prefix_caching;
    bool deep_gemm;       /* fp8 experts go to it where it runs */
    int64_t max_num_seqs; /* 0: `resolve` says */
    int64_t chunk_tokens; /* 0: `resolve` says */
    int64_t block_size;
    double gpu_memory_utilization, watermark;
    /* Fills what is still 0 and depends on more than the preset; NULL: nothing does. `context`:
     * tokens of the longest request, as the scenario or the model has it; 0 unknown. */
    void (*resolve)(struct rt_engine_spec *e, const struct rt_gpu *gpu, int64_t context);
};

unsigned rt_preset_count(void);
const struct rt_preset *rt_preset_at(unsigned i);

/* The preset's defaults into *e, which then carries its name. Sizes that depend on the GPU are 0
 * until rt_preset_resolve. */
void rt_preset_apply(const struct rt_preset *p, struct rt_engine_spec *e);
/* What e->preset leaves to the GPU, the model and `slices`, into which each expert is cut; without
 * a preset only the kernel of experts. max_num_batched_tokens may stay 0: the pool's own default
 * then applies. */
void rt_preset_resolve(struct rt_engine_spec *e, const struct rt_gpu *gpu,
                       const struct rt_model *model, int64_t slices);

#endif
