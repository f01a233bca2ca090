/* Command line options from a table: see options.h.
 *
 * One pass over the words. Every word of argv is used as it stands (nothing is copied), so values
 * live as long as argv. Arrays of words are sized by argc. */
#include "rooftrace/options.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 32 /* where the help texts begin */

struct reader {
    struct rt_options *o;
    const char *command;
    int argc, at; /* the word that is read next */
    char *const *argv;
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Place in the table of --name (its first `len` bytes), or table_count. */
static unsigned find_name(const struct rt_options *o, const char *name, size_t len)
{
    for (unsigned i = 0; i < o->table_count; i++) {
        const struct rt_option *entry = &o->table[i];
        if (entry->kind != RT_OPTION_HEADING && strlen(entry->name) == len &&
            strncmp(entry->name, name, len) == 0)
            return i;
    }
    return o->table_count;
}

static unsigned find_letter(const struct rt_options *o, char letter)
{
    for (unsigned i = 0; i < o->table_count; i++)
        if (o->table[i].kind != RT_OPTION_HEADING && o->table[i].letter == letter)
            return i;
    return o->table_count;
}

static bool fail_unknown(const struct reader *r, const char *word, size_t len, struct rt_err *err)
{
    const struct rt_options *o = r->o;
    const char **names = malloc((o->table_count + 1) * sizeof(*names));
    char shown[64];
    const char *nearest;
    unsigned count = 0;

    if (names == NULL)
        return rt_fail_nomem(err, "options");
    for (unsigned i = 0; i < o->table_count; i++)
        if (o->table[i].kind != RT_OPTION_HEADING)
            names[count++] = o->table[i].name;
    snprintf(shown, sizeof shown, "%.*s", (int)(len < 60 ? len : 60), word);
    nearest = rt_nearest(shown, names, count);
    free(names);
    if (nearest != NULL)
        return rt_fail(err, RT_EUSAGE, "%s: unknown option, did you mean %s?", shown, nearest);
    return rt_fail(err, RT_EUSAGE, "%s: unknown option, see %s --help", shown, r->command);
}

static bool read_int(const char *text, int64_t *out)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    long long value;
    char *end;

    if (digits[0] == '\0' || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    value = strtoll(text, &end, 10);
    *out = (int64_t)value;
    return errno == 0 && *end == '\0';
}

bool rt_read_number(const char *text, double *out)
{
    char *end;

    /* strtod alone would take "0x10", "nan", "inf" and leading blanks. */
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static bool set_value(const struct rt_option *entry, struct rt_option_value *v, const char *text,
                      struct rt_err *err)
{
    v->count++;
    v->text = text;
    if (entry->kind == RT_OPTION_INT &&
        (!read_int(text, &v->integer) || v->integer < entry->min_int ||
         v->integer > entry->max_int))
        return rt_fail(err, RT_EUSAGE, "%s: expected an integer from %lld to %lld, read \"%.64s\"",
                       entry->name, (long long)entry->min_int, (long long)entry->max_int, text);
    if (entry->kind == RT_OPTION_NUMBER &&
        (!rt_read_number(text, &v->number) || v->number < entry->min || v->number > entry->max))
        return rt_fail(err, RT_EUSAGE, "%s: expected a number from %g to %g, read \"%.64s\"",
                       entry->name, entry->min, entry->max, text);
    if (entry->kind == RT_OPTION_TEXT && text[0] == '\0')
        return rt_fail(err, RT_EUSAGE, "%s: expected %s, read an empty text", entry->name,
                       entry->value);
    return true;
}

/* A word that can be taken as the value of the option before it. */
static bool has_value_word(const struct reader *r)
{
    return r->at < r->argc && !starts_with(r->argv[r->at], "--");
}

static bool add_pair(const struct reader *r, struct rt_option_value *v, const char *word,
                     struct rt_err *err)
{
    if (v->all == NULL)
        v->all = calloc((size_t)r->argc, sizeof(*v->all)); /* there are no more words than that */
    if (v->all == NULL)
        return rt_fail_nomem(err, "options");
    v->all[v->count++] = word;
    v->text = word;
    return true;
}

static bool read_pairs(struct reader *r, const struct rt_option *entry, struct rt_option_value *v,
                       const char *attached, struct rt_err *err)
{
    const char *first = attached;

    if (first == NULL && has_value_word(r))
        first = r->argv[r->at++];
    if (first == NULL || strchr(first, ':') == NULL)
        return rt_fail(err, RT_EUSAGE, "%s: expected %s, read %s%.64s%s", entry->name, entry->value,
                       first ? "\"" : "nothing", first ? first : "", first ? "\"" : "");
    if (!add_pair(r, v, first, err))
        return false;
    while (attached == NULL && has_value_word(r) && strchr(r->argv[r->at], ':') != NULL)
        if (!add_pair(r, v, r->argv[r->at++], err))
            return false;
    return true;
}

/* `attached` is the text behind "=", or NULL. */
static bool read_option(struct reader *r, unsigned index, const char *attached, struct rt_err *err)
{
    const struct rt_option *entry = &r->o->table[index];
    struct rt_option_value *v = &r->o->values[index];

    if (entry->kind == RT_OPTION_FLAG) {
        if (attached != NULL)
            return rt_fail(err, RT_EUSAGE, "%s: takes no value, read \"%.64s\"", entry->name,
                           attached);
        v->count++;
        return true;
    }
    if (entry->kind == RT_OPTION_PAIRS)
        return read_pairs(r, entry, v, attached, err);
    if (attached == NULL) {
        if (!has_value_word(r))
            return rt_fail(err, RT_EUSAGE, "%s: expected a value (%s)", entry->name, entry->value);
        attached = r->argv[r->at++];
    }
    return set_value(entry, v, attached, err);
}

static bool read_word(struct reader *r, struct rt_err *err)
{
    const char *word = r->argv[r->at++];
    const char *equals;
    unsigned index;
    size_t len;

    if (word[0] != '-' || word[1] == '\0') {
        r->o->words[r->o->word_count++] = word;
        return true;
    }
    if (word[1] != '-') {
        index = find_letter(r->o, word[1]);
        if (index == r->o->table_count || word[2] != '\0')
            return fail_unknown(r, word, strlen(word), err);
        return read_option(r, index, NULL, err);
    }
    equals = strchr(word, '=');
    len = equals ? (size_t)(equals - word) : strlen(word);
    index = find_name(r->o, word, len);
    if (index == r->o->table_count)
        return fail_unknown(r, word, len, err);
    return read_option(r, index, equals ? equals + 1 : NULL, err);
}

static bool read_all(struct reader *r, struct rt_err *err)
{
    while (r->at < r->argc && strcmp(r->argv[r->at], "--") != 0)
        if (!read_word(r, err))
            return false;
    for (r->at++; r->at < r->argc; r->at++)
        r->o->words[r->o->word_count++] = r->argv[r->at];
    return true;
}

bool rt_options_parse(const struct rt_option_set *set, int argc, char *const *argv,
                      struct rt_options *out, struct rt_err *err)
{
    struct reader r = {.o = out, .command = set->command, .argc = argc, .argv = argv};

    *out = (struct rt_options){.table = set->table, .table_count = set->count};
    out->values = calloc(set->count + 1, sizeof(*out->values));
    out->words = calloc((size_t)argc + 1, sizeof(*out->words));
    if (out->values == NULL || out->words == NULL) {
        rt_options_release(out);
        return rt_fail_nomem(err, "options");
    }
    if (!read_all(&r, err)) {
        rt_options_release(out);
        return false;
    }
    return true;
}

void rt_options_release(struct rt_options *o)
{
    for (unsigned i = 0; o->values != NULL && i < o->table_count; i++)
        free(o->values[i].all);
    free(o->values);
    free(o->words);
    *o = (struct rt_options){0};
}

const struct rt_option_value *rt_options_get(const struct rt_options *o, const char *name)
{
    unsigned index = find_name(o, name, strlen(name));

    assert(index < o->table_count);
    return &o->values[index];
}

bool rt_options_given(const struct rt_options *o, const char *name)
{
    return rt_options_get(o, name)->count > 0;
}

const char *rt_options_text(const struct rt_options *o, const char *name, const char *otherwise)
{
    const struct rt_option_value *v = rt_options_get(o, name);

    return v->count > 0 ? v->text : otherwise;
}

int64_t rt_options_int(const struct rt_options *o, const char *name, int64_t otherwise)
{
    const struct rt_option_value *v = rt_options_get(o, name);

    return v->count > 0 ? v->integer : otherwise;
}

double rt_options_number(const struct rt_options *o, const char *name, double otherwise)
{
    const struct rt_option_value *v = rt_options_get(o, name);

    return v->count > 0 ? v->number : otherwise;
}

static void print_help_text(const char *text, FILE *out)
{
    for (;;) {
        const char *end = strchr(text, '\n');
        if (end == NULL)
            break;
        fprintf(out, "%.*s\n%*s", (int)(end - text), text, HELP_COLUMN, "");
        text = end + 1;
    }
    fprintf(out, "%s\n", text);
}

void rt_options_help(const struct rt_option_set *set, FILE *out)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct rt_option *entry = &set->table[i];
        char left[96];
        if (entry->kind == RT_OPTION_HEADING) {
            fprintf(out, "\n%s\n", entry->name);
            continue;
        }
        snprintf(left, sizeof left, "  %c%c%s%s%s%s", entry->letter ? '-' : ' ',
                 entry->letter ? entry->letter : ' ', entry->letter ? ", " : "  ", entry->name,
                 entry->kind == RT_OPTION_FLAG ? "" : " ",
                 entry->kind == RT_OPTION_FLAG ? "" : entry->value);
        fprintf(out, "%-*s", HELP_COLUMN - 1, left);
        if (strlen(left) >= HELP_COLUMN)
            fprintf(out, "\n%*s", HELP_COLUMN - 1, "");
        fputc(' ', out);
        print_help_text(entry->help, out);
    }
}
