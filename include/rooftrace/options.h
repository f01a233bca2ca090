/* cli/options.h: command line options from a table.
 *
 * A table says what exists; parsing fills one value for each entry and collects the other words.
 * Spellings: --name VALUE, --name=VALUE, --flag, -x VALUE for entries with a letter; "--" ends the
 * options. A word that begins with "--" is never taken as a value (write --name=--value). The last
 * of several wins, except for pairs, which add up. An unknown option names the nearest known one.
 * Nothing global is touched. O(words * options). All failures are RT_EUSAGE, or RT_ENOMEM. */
#ifndef RT_OPTIONS_H
#define RT_OPTIONS_H

#include "rooftrace/err.h"

#include <stdint.h>
#include <stdio.h>

enum rt_option_kind {
    RT_OPTION_HEADING, /* no option: a line of --help */
    RT_OPTION_FLAG,    /* takes no value */
    RT_OPTION_TEXT,
    RT_OPTION_INT,    /* decimal, from min to max */
    RT_OPTION_NUMBER, /* finite decimal, from min to max */
    RT_OPTION_PAIRS   /* one or more words NAME:VALUE, as in --goodput ttft:500 tpot:50 */
};

struct rt_option {
    const char *name; /* "--max-num-seqs"; the text of a heading */
    char letter;      /* 'o' for -o, or 0 */
    enum rt_option_kind kind;
    const char *value;        /* what the value is called in --help: "N" */
    const char *help;         /* one line, or more separated by newlines */
    int64_t min_int, max_int; /* of RT_OPTION_INT */
    double min, max;          /* of RT_OPTION_NUMBER */
};

/* Rows of a table. A letter is added as in {RT_OPT_TEXT("--output", ...), .letter = 'o'}. */
#define RT_OPT(n, k, v, h)             .name = (n), .kind = RT_OPTION_##k, .value = (v), .help = (h)
#define RT_OPT_HEADING(text)           RT_OPT(text, HEADING, "", "")
#define RT_OPT_FLAG(n, h)              RT_OPT(n, FLAG, "", h)
#define RT_OPT_TEXT(n, v, h)           RT_OPT(n, TEXT, v, h)
#define RT_OPT_PAIRS(n, v, h)          RT_OPT(n, PAIRS, v, h)
#define RT_OPT_INT(n, v, lo, hi, h)    RT_OPT(n, INT, v, h), .min_int = (lo), .max_int = (hi)
#define RT_OPT_NUMBER(n, v, lo, hi, h) RT_OPT(n, NUMBER, v, h), .min = (lo), .max = (hi)

struct rt_option_set {
    const char *command; /* as messages name it: "rooftrace run" */
    const struct rt_option *table;
    unsigned count;
};

struct rt_option_value {
    unsigned count;   /* times given; pairs: words given */
    const char *text; /* as given last; valid while argv is */
    int64_t integer;  /* of RT_OPTION_INT */
    double number;    /* of RT_OPTION_NUMBER */
    const char **all; /* pairs: every word; the array is owned by rt_options */
};

struct rt_options {
    const struct rt_option *table;
    unsigned table_count;
    struct rt_option_value *values; /* one a table entry */
    const char **words;             /* what is no option and no value of one */
    unsigned word_count;
};

/* Reads argv[0..argc). After a failure there is nothing to release. */
bool rt_options_parse(const struct rt_option_set *set, int argc, char *const *argv,
                      struct rt_options *out, struct rt_err *err) RT_MUST_USE;
void rt_options_release(struct rt_options *o);

/* The value of a table entry by name; the name must be in the table. */
const struct rt_option_value *rt_options_get(const struct rt_options *o, const char *name);
bool rt_options_given(const struct rt_options *o, const char *name);
/* The text given, or the default. */
const char *rt_options_text(const struct rt_options *o, const char *name, const char *otherwise);
int64_t rt_options_int(const struct rt_options *o, const char *name, int64_t otherwise);
double rt_options_number(const struct rt_options *o, const char *name, double otherwise);

/* The whole text is a finite decimal number (no hexadecimal, no blanks). */
bool rt_read_number(const char *text, double *out) RT_MUST_USE;
/* The table as lines of --help. */
void rt_options_help(const struct rt_option_set *set, FILE *out);

#endif
