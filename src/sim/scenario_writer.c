/* The JSON writer behind rt_scenario_print: appends to one growing text. O(length). */
#include "sim_print_internal.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT 40

static void append(struct rt_writer *w, const char *bytes, size_t n)
{
    if (w->failed)
        return;
    if (n >= w->capacity - w->len) { /* keeps room for the final NUL */
        size_t capacity = (w->len + n + 1) * 2;
        char *text = realloc(w->text, capacity);
        w->failed = text == NULL;
        if (w->failed)
            return;
        w->text = text;
        w->capacity = capacity;
    }
    memcpy(w->text + w->len, bytes, n);
    w->len += n;
    w->text[w->len] = '\0';
}

static void append_text(struct rt_writer *w, const char *text)
{
    append(w, text, strlen(text));
}

static void append_quoted(struct rt_writer *w, const char *text)
{
    append_text(w, "\"");
    for (; *text != '\0'; text++) {
        char escaped[8];
        if (*text == '"' || *text == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*text);
        else
            snprintf(escaped, sizeof escaped, "%c", *text);
        append_text(w, escaped);
    }
    append_text(w, "\"");
}

static void begin_line(struct rt_writer *w)
{
    append_text(w, "\n");
    for (unsigned i = 0; i < w->depth; i++)
        append_text(w, "  ");
}

/* What stands before a value: comma, line break, key. Arrays of numbers stay on one line. */
static void begin_member(struct rt_writer *w, const char *key)
{
    if (!w->first)
        append_text(w, ",");
    if (key != NULL && w->depth > 0)
        begin_line(w);
    else if (!w->first)
        append_text(w, " ");
    w->first = false;
    if (key != NULL) {
        append_quoted(w, key);
        append_text(w, ": ");
    }
}

void rt_writer_open(struct rt_writer *w, const char *key, char bracket)
{
    begin_member(w, key);
    append(w, &bracket, 1);
    w->depth++;
    w->first = true;
}

void rt_writer_close(struct rt_writer *w, char bracket)
{
    w->depth--;
    if (bracket == '}' && !w->first)
        begin_line(w);
    append(w, &bracket, 1);
    w->first = false;
}

void rt_writer_string(struct rt_writer *w, const char *key, const char *value)
{
    begin_member(w, key);
    append_quoted(w, value);
}

void rt_writer_int(struct rt_writer *w, const char *key, int64_t value)
{
    char text[NUMBER_TEXT];

    snprintf(text, sizeof text, "%lld", (long long)value);
    begin_member(w, key);
    append_text(w, text);
}

void rt_writer_bool(struct rt_writer *w, const char *key, bool value)
{
    begin_member(w, key);
    append_text(w, value ? "true" : "false");
}

/* The shortest decimal whose double, times unit, is `value`; quotient is about value/unit. Decimals
 * of 15 digits are different doubles, and %g leaves out the zeros they end with. */
static bool shortest(double quotient, double value, double unit, char text[NUMBER_TEXT])
{
    if (fabs(quotient) < 1e15 && quotient == floor(quotient)) { /* 450, not 4.5e+02 */
        snprintf(text, NUMBER_TEXT, "%.0f", quotient);
        if (strtod(text, NULL) * unit == value)
            return true;
    }
    for (int precision = DBL_DIG; precision <= 17; precision++) {
        snprintf(text, NUMBER_TEXT, "%.*g", precision, quotient);
        if (strtod(text, NULL) * unit == value)
            return true;
    }
    return false;
}

/* Text whose value times unit is exactly `value`; false when there is none. The division is at most
 * a few units of the last place away from such a number. */
static bool text_in_unit(double value, double unit, char text[NUMBER_TEXT])
{
    double below = value / unit, above = below;

    for (int i = 0; i < 4; i++) {
        if (shortest(below, value, unit, text) || shortest(above, value, unit, text))
            return true;
        below = nextafter(below, -HUGE_VAL);
        above = nextafter(above, HUGE_VAL);
    }
    return false;
}

double rt_writer_settle(double value, double unit)
{
    char text[NUMBER_TEXT];

    return text_in_unit(value, unit, text) ? value : value / unit * unit;
}

void rt_writer_in_unit(struct rt_writer *w, const char *key, double value, double unit)
{
    char text[NUMBER_TEXT];
    uint64_t bits;

    begin_member(w, key);
    memcpy(&bits, &value, sizeof bits);
    if (w->bits)
        snprintf(text, sizeof text, "%" PRIx64, bits);
    else if (!text_in_unit(value, unit, text))
        snprintf(text, sizeof text, "%.17g", value / unit);
    append_text(w, text);
}

void rt_writer_double(struct rt_writer *w, const char *key, double value)
{
    rt_writer_in_unit(w, key, value, 1.0);
}

void rt_writer_pair(struct rt_writer *w, const char *key, const double pair[2])
{
    rt_writer_open(w, key, '[');
    rt_writer_double(w, NULL, pair[0]);
    rt_writer_double(w, NULL, pair[1]);
    rt_writer_close(w, ']');
}

char *rt_writer_take(struct rt_writer *w)
{
    append_text(w, "\n");
    if (!w->failed)
        return w->text;
    free(w->text);
    w->text = NULL;
    return NULL;
}
