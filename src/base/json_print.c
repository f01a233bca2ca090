/* Values back into compact JSON text.
 *
 * cJSON's own printer takes a number as read back when it is within a relative 2e-16, so it may
 * write a neighbour of the double it holds; here a number reads back as the same double. Recursion
 * is bounded by the nesting that the scan allows. O(length); the only failure is memory. */
#include "base_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *buf;
    size_t len, capacity;
    bool failed; /* out of memory: appends do nothing from then on */
};

static void append(struct text *t, const char *bytes, size_t n)
{
    if (t->failed)
        return;
    if (n >= t->capacity - t->len) { /* keeps room for the final NUL */
        size_t capacity = (t->len + n + 1) * 2;
        char *buf = realloc(t->buf, capacity);
        t->failed = buf == NULL;
        if (t->failed)
            return;
        t->buf = buf;
        t->capacity = capacity;
    }
    memcpy(t->buf + t->len, bytes, n);
    t->len += n;
    t->buf[t->len] = '\0';
}

static void append_text(struct text *t, const char *text)
{
    append(t, text, strlen(text));
}

static void append_string(struct text *t, const char *string)
{
    static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";

    append(t, "\"", 1);
    for (const char *p = string; *p != '\0'; p++) {
        const char *found = strchr(special, *p);
        char escape[8];
        if (found != NULL)
            snprintf(escape, sizeof escape, "\\%c", letters[found - special]);
        else if ((unsigned char)*p < 0x20)
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*p);
        else
            snprintf(escape, sizeof escape, "%c", *p);
        append_text(t, escape);
    }
    append(t, "\"", 1);
}

void rt_json_number_text(double value, char buf[RT_JSON_NUMBER_TEXT])
{
    if (fabs(value) <= (double)RT_JSON_INTEGER_MAX && value == floor(value)) {
        snprintf(buf, RT_JSON_NUMBER_TEXT, "%.0f", value);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(buf, RT_JSON_NUMBER_TEXT, "%.*g", precision, value);
        if (strtod(buf, NULL) == value)
            return;
    }
}

static void append_value(struct text *t, const cJSON *node);

static void append_children(struct text *t, const cJSON *node)
{
    for (const cJSON *child = node->child; child != NULL; child = child->next) {
        if (child->string != NULL) {
            append_string(t, child->string);
            append_text(t, ":");
        }
        append_value(t, child);
        if (child->next != NULL)
            append_text(t, ",");
    }
}

static void append_value(struct text *t, const cJSON *node)
{
    char number[RT_JSON_NUMBER_TEXT];

    if (cJSON_IsObject(node)) {
        append_text(t, "{");
        append_children(t, node);
        append_text(t, "}");
    } else if (cJSON_IsArray(node)) {
        append_text(t, "[");
        append_children(t, node);
        append_text(t, "]");
    } else if (cJSON_IsString(node)) {
        append_string(t, node->valuestring);
    } else if (cJSON_IsNumber(node)) {
        rt_json_number_text(node->valuedouble, number);
        append_text(t, number);
    } else {
        append_text(t, cJSON_IsTrue(node) ? "true" : cJSON_IsFalse(node) ? "false" : "null");
    }
}

char *rt_json_print(const struct rt_json_at *at)
{
    struct text t = {0};

    if (at->node == NULL)
        append_text(&t, "null");
    else
        append_value(&t, at->node);
    if (t.failed) {
        free(t.buf);
        return NULL;
    }
    return t.buf;
}
