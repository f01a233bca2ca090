/* Helpers of the subcommands: pages of --help, messages, pieces of JSON. */
#include "cli_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool cli_begin(const struct cli_page *page, int argc, char **argv, struct rt_options *out,
               int *status)
{
    struct rt_err err = {0};

    if (!rt_options_parse(&page->options, argc, argv, out, &err)) {
        *status = cli_fail(&err);
        return false;
    }
    if (!rt_options_given(out, "--help"))
        return true;
    fputs(page->usage, stdout);
    rt_options_help(&page->options, stdout);
    if (page->more != NULL)
        page->more(stdout);
    fputs(page->examples, stdout);
    rt_options_release(out);
    *status = cli_finish();
    return false;
}

/* One line on stderr; nothing in `text` can break the line or move the cursor. */
static void message(const char *text)
{
    fputs("rooftrace: ", stderr);
    for (const char *p = text; *p != '\0'; p++)
        fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, stderr);
    fputc('\n', stderr);
}

int cli_fail(const struct rt_err *err)
{
    message(err->msg);
    return rt_code_exit_status(err->code);
}

void cli_note(const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    message(text);
}

int cli_finish(void)
{
    struct rt_err err = {0};

    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_SUCCESS;
    rt_fail(&err, RT_EIO, "cannot write to standard output");
    return cli_fail(&err);
}

bool cli_words(const struct rt_options *o, unsigned min, unsigned max, const char *expected,
               struct rt_err *err)
{
    if (o->word_count < min)
        return rt_fail(err, RT_EUSAGE, "expected %s", expected);
    if (o->word_count > max)
        return rt_fail(err, RT_EUSAGE, "expected %s, read also \"%.64s\"", expected, o->words[max]);
    return true;
}

void cli_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20)
            fprintf(out, "\\u%04x", (unsigned)*p);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

void cli_json_number(FILE *out, double value)
{
    char text[32];

    if (!isfinite(value)) {
        fputs("null", out);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) { /* the shortest that reads back */
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, out);
}
