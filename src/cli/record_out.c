/* The files that `calibrate` writes. The record is what rt_gpu_print says, which reads back to the
 * same constants, with `sources` added: each group of constants that was fitted has its own.
 * A file that cannot be written whole is RT_EIO, and not there. */
#include "cli_internal.h"
#include "record_internal.h"
#include "rooftrace/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void record_source(struct record_out *r, const char *group, const char *text)
{
    unsigned i = 0;

    while (i < r->count && strcmp(r->group[i], group) != 0)
        i++;
    if (i == RECORD_MAX_SOURCES)
        return; /* there are fewer groups than that */
    size_t len = i < r->count ? strlen(r->text[i]) : 0;
    snprintf(r->text[i] + len, sizeof r->text[i] - len, "%s%s", len > 0 ? "; " : "", text);
    r->group[i] = group;
    if (i == r->count)
        r->count++;
}

static void write_text(FILE *f, const struct record_out *r, const char *plain)
{
    const char *end = strrchr(plain, '}'); /* the record's own: sources go before it */

    while (end > plain && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    fwrite(plain, 1, (size_t)(end - plain), f);
    fputs(",\n  \"sources\": {\n    \"*\": ", f);
    cli_json_text(f, r->rest);
    for (unsigned i = 0; i < r->count; i++) {
        fprintf(f, ",\n    \"%s\": ", r->group[i]);
        cli_json_text(f, r->text[i]);
    }
    fputs("\n  }\n}\n", f);
}

bool record_write(const struct record_out *r, const struct rt_gpu *gpu, const char *path,
                  struct rt_err *err)
{
    char *plain = rt_gpu_print(gpu);

    if (plain == NULL)
        return rt_fail_nomem(err, "the fitted record");
    struct cli_out out;
    bool ok = cli_out_open(&out, path, err);
    if (ok) {
        write_text(out.file, r, plain);
        ok = cli_out_close(&out, true, err);
    }
    free(plain);
    return ok;
}

/* A text as a CSV field. */
static void field(FILE *f, const char *text)
{
    if (strpbrk(text, ",\"\n") == NULL) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"')
            fputc('"', f);
        fputc(*p, f);
    }
    fputc('"', f);
}

static void write_table(FILE *f, const struct rt_op_table *t)
{
    fputs("op,model,gpu,dtype,activation", f);
    for (unsigned i = 0; i < RT_OPF_COUNT; i++)
        fprintf(f, ",%s", rt_op_fields[i]);
    fputs(",us\n", f);
    for (size_t i = 0; i < t->count; i++) {
        const struct rt_op_row *row = &t->rows[i];
        unsigned fields = rt_op_kinds[row->op].shape;
        for (unsigned a = 0; a < rt_op_kinds[row->op].axis_count; a++)
            fields |= 1u << rt_op_kinds[row->op].axes[a];
        fprintf(f, "%s,", rt_op_names[row->op]);
        field(f, t->groups.text[row->group]);
        fputc(',', f);
        field(f, t->gpus.text[row->gpu]);
        fprintf(f, ",%s,%s", rt_dtype_names[row->dtype], rt_dtype_names[row->activation]);
        for (unsigned k = 0; k < RT_OPF_COUNT; k++) {
            fputc(',', f);
            if ((fields >> k & 1) != 0)
                fprintf(f, "%.0f", row->value[k]);
        }
        fprintf(f, ",%.9g\n", row->seconds * 1e6);
    }
}

bool table_write(const struct rt_op_table *t, const char *path, struct rt_err *err)
{
    struct cli_out out;

    if (!cli_out_open(&out, path, err))
        return false;
    write_table(out.file, t);
    return cli_out_close(&out, true, err);
}
