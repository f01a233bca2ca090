/* cost/catalog.h: GPUs and models by name: records (gpu.h, model.h) read from JSON.
 *
 * The built-in catalogue (src/cost/catalog/gpus.json, models.json) is compiled in; --catalog DIR
 * reads another. A name or alias (case, '_' and blanks for '-' do not matter), the path of a JSON
 * file, or a JSON object stands for a record; a model file may be a Hugging Face config.json. Every
 * number carries its source in the JSON (docs: schemas/gpu.schema.json, model.schema.json). */
#ifndef RT_CATALOG_H
#define RT_CATALOG_H

#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/json.h"
#include "rooftrace/model.h"

struct rt_catalog; /* both lists; immutable after opening, may be shared by threads */

/* dir = NULL: the built-in one. Caller frees with rt_catalog_free. O(n log n) in the records. */
bool rt_catalog_open(const char *dir, struct rt_catalog **out, struct rt_err *err) RT_MUST_USE;
void rt_catalog_free(struct rt_catalog *c);
unsigned rt_catalog_gpu_count(const struct rt_catalog *c);
unsigned rt_catalog_model_count(const struct rt_catalog *c);
const struct rt_gpu *rt_catalog_gpu_at(const struct rt_catalog *c, unsigned i); /* by name order */
const struct rt_model *rt_catalog_model_at(const struct rt_catalog *c, unsigned i);
/* The record's JSON text with its sources, for `catalog show`; owned by the catalogue. */
const char *rt_catalog_gpu_json(const struct rt_catalog *c, unsigned i);
const char *rt_catalog_model_json(const struct rt_catalog *c, unsigned i);

/* By name, alias or path (a text that ends in .json, or has a '/' and names a file, is a path).
 * Unknown: nearest is named. */
bool rt_catalog_gpu(const struct rt_catalog *c, const char *name_or_path, struct rt_gpu *out,
                    struct rt_err *err) RT_MUST_USE;
bool rt_catalog_model(const struct rt_catalog *c, const char *name_or_path, struct rt_model *out,
                      struct rt_err *err) RT_MUST_USE;
/* At a place in a document: a string as above (paths resolve against the document), or an object:
 * a whole record, or {"base": "rtx-4090", ...} with only what differs from a catalogue record. */
bool rt_catalog_gpu_from(const struct rt_catalog *c, const struct rt_json_at *at,
                         struct rt_gpu *out, struct rt_err *err) RT_MUST_USE;
bool rt_catalog_model_from(const struct rt_catalog *c, const struct rt_json_at *at,
                           struct rt_model *out, struct rt_err *err) RT_MUST_USE;

#endif
