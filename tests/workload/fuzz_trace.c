/* Fuzzing of one trace reader.
 *
 *     fuzz_trace FORMAT ITERATIONS SEED FILE...
 *
 * reads damaged copies of the corpus files (mutate.h) as FORMAT and as what their first bytes tell,
 * to their end, twice. Whatever comes, it must be rows or an error with a place, the same both
 * times. Any failure is printed with the iteration that shows it. Exit status 1 then, 0 otherwise.
 *
 * Built by clang with RT_FUZZ (CMake), it is a libFuzzer target instead: the environment variable
 * RT_FUZZ_FORMAT names the format, a copy of tests/workload/corpus is the corpus (libFuzzer adds to
 * it). "columns" and "servegen" get what they need besides: --columns, the file of lengths. */
#include "mutate.h"

#include "rooftrace/trace.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILES 8
#define MAX_ROWS  1000000u /* ServeGen can draw any number */

struct result {
    uint64_t rows, sum;
    int found;
    struct rt_err err;
};

static bool write_file(const char *path, const char *bytes, size_t len)
{
    (void)unlink(path); /* ext4 flushes a file that is cut to nothing and written again */
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL && fwrite(bytes, 1, len, f) == len;
    return (f == NULL || fclose(f) == 0) && ok;
}

static uint64_t digest(const struct rt_request *r)
{
    uint64_t sum = (uint64_t)r->arrival_ns * 3 + (uint64_t)r->prompt_tokens * 5 +
                   (uint64_t)r->output_tokens * 7 + (uint64_t)r->think_ns;
    for (uint32_t i = 0; i < r->hash_count; i++)
        sum = sum * 31 + r->hash_ids[i];
    for (const char *p = r->session; p != NULL && *p != '\0'; p++)
        sum = sum * 31 + (unsigned char)*p;
    return sum;
}

static struct result read_trace(const char *path, const char *format)
{
    struct result out = {.found = -1};
    struct rt_trace_options options = {.format = format};
    struct rt_trace *t;
    struct rt_request r;
    if (strcmp(format, "columns") == 0)
        options.columns = "arrival=ts:ms,prompt=usage.in,output=usage.out,session=user.id";
    if (!rt_trace_open_with(path, &options, &t, &out.err))
        return out;
    while (out.rows < MAX_ROWS && (out.found = rt_trace_read(t, &r, &out.err)) == 1) {
        out.rows++;
        out.sum = out.sum * 31 + digest(&r);
        if (r.arrival_ns < 0 || r.prompt_tokens < 0 || r.output_tokens < 0 ||
            r.prompt_tokens > RT_MAX_REQUEST_TOKENS || r.output_tokens > RT_MAX_REQUEST_TOKENS)
            abort();
    }
    rt_trace_free(t);
    return out;
}

/* An error names the file; the reader answers the same again. */
static bool judge(const char *path, const char *format)
{
    struct result a = read_trace(path, format), b = read_trace(path, format);
    if (a.found < 0 &&
        (a.err.code == RT_OK || a.err.code == RT_ECONFIG || strstr(a.err.msg, "/x-") == NULL)) {
        printf("%s: an error without a place: %s\n", format, a.err.msg);
        return false;
    }
    if (a.rows != b.rows || a.sum != b.sum || a.found != b.found) {
        printf("%s: read twice, %" PRIu64 " and %" PRIu64 " rows\n", format, a.rows, b.rows);
        return false;
    }
    return true;
}

struct folder {
    char path[256], trace[300], dataset[300];
};

static bool make_folder(struct folder *f)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(f->path, sizeof f->path, "%s/rooftrace-fuzz-XXXXXX", base ? base : "/tmp");
    if (mkdtemp(f->path) == NULL)
        return false;
    (void)snprintf(f->trace, sizeof f->trace, "%s/x-trace.csv", f->path);
    (void)snprintf(f->dataset, sizeof f->dataset, "%s/x-dataset.json", f->path);
    static const char lengths[] =
        "{\"0\": {\"input_tokens\": \"{3: 1}\", \"output_tokens\": \"{7: 1.0}\"}}";
    return write_file(f->dataset, lengths, sizeof lengths - 1);
}

static void remove_folder(const struct folder *f)
{
    (void)unlink(f->trace);
    (void)unlink(f->dataset);
    (void)rmdir(f->path);
}

#ifdef RT_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *format = getenv("RT_FUZZ_FORMAT");
    struct folder f;
    if (!make_folder(&f) || !write_file(f.trace, (const char *)data, size))
        abort();
    if (!judge(f.trace, format != NULL ? format : "auto"))
        abort();
    remove_folder(&f);
    return 0;
}

#else

struct corpus {
    char *bytes[MAX_FILES];
    size_t len[MAX_FILES];
    int count;
};

static bool load(struct corpus *c, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(1 << 16);
    bool ok = f != NULL && bytes != NULL && c->count < MAX_FILES;
    if (ok) {
        c->bytes[c->count] = bytes;
        c->len[c->count++] = fread(bytes, 1, 1 << 16, f);
    } else {
        free(bytes);
    }
    if (f != NULL)
        (void)fclose(f);
    return ok && c->len[c->count - 1] > 0;
}

/* Of ServeGen the dataset is damaged every other time. */
static bool one(const struct folder *f, const struct corpus *c, const char *format,
                struct mutant *m, struct rt_rng *rng)
{
    size_t pick = (size_t)rt_rng_below(rng, (uint64_t)c->count);
    bool servegen = strcmp(format, "servegen") == 0;
    const char *to = servegen && pick == 1 ? f->dataset : f->trace;
    if (!mutate(m, c->bytes[pick], c->len[pick], rng) || !write_file(to, m->bytes, m->len))
        return false;
    if (to == f->dataset && !write_file(f->trace, c->bytes[0], c->len[0]))
        return false;
    return judge(f->trace, format) && (servegen || judge(f->trace, "auto"));
}

static int fuzz(const char *format, long iterations, uint64_t seed, struct corpus *c)
{
    struct mutant m = {.bytes = NULL};
    struct folder f;
    int status = EXIT_SUCCESS;
    if (!make_folder(&f))
        return EXIT_FAILURE;
    for (long i = 0; i < iterations && status == EXIT_SUCCESS; i++) {
        struct rt_rng rng;
        rt_rng_init(&rng, seed, RT_RNG_TOOLS, (uint64_t)i);
        if (!one(&f, c, format, &m, &rng)) {
            printf("iteration %ld of seed %" PRIu64 ", %zu bytes\n", i, seed, m.len);
            status = EXIT_FAILURE;
        }
    }
    mutant_release(&m);
    remove_folder(&f);
    return status;
}

int main(int argc, char **argv)
{
    struct corpus c = {.count = 0};
    if (argc < 5) {
        printf("usage: fuzz_trace FORMAT ITERATIONS SEED FILE...\n");
        return 2;
    }
    for (int i = 4; i < argc; i++) {
        if (!load(&c, argv[i])) {
            printf("cannot load %s\n", argv[i]);
            return 2;
        }
    }
    int status = fuzz(argv[1], strtol(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), &c);
    for (int i = 0; i < c.count; i++)
        free(c.bytes[i]);
    return status;
}

#endif
