/* rooftrace trace stat --svg: three panels (prompts, outputs, arrivals over time) as one SVG file
 * of rectangles and texts, without script or style sheet, so that it can stand in any page. */
#include "cli_internal.h"
#include "rooftrace/trace.h"

#include <inttypes.h>
#include <string.h>

#define PANEL_W 360.0
#define PANEL_H 200.0
#define MARGIN  40.0

struct panel {
    const char *title;
    const uint64_t *bins;
    unsigned first, count;
    double x;              /* of its left edge */
    char from[48], to[48]; /* labels of its ends */
};

static void put_text(FILE *out, double x, double y, const char *anchor, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '>' || *text == '&')
            fprintf(out, "&#%d;", *text);
        else
            fputc((unsigned char)*text < 0x20 ? '?' : *text, out);
    }
    fputs("</text>\n", out);
}

static void put_panel(FILE *out, const struct panel *p)
{
    uint64_t most = 1;
    char label[64];
    double step = PANEL_W / (p->count > 0 ? p->count : 1), base = 2 * MARGIN + PANEL_H;

    for (unsigned i = 0; i < p->count; i++)
        most = most > p->bins[p->first + i] ? most : p->bins[p->first + i];
    for (unsigned i = 0; i < p->count; i++) {
        double height = (double)p->bins[p->first + i] / (double)most * PANEL_H;
        if (height > 0)
            fprintf(
                out,
                "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#4878a8\"/>\n",
                p->x + step * i, base - height, step > 3 ? step - 1 : step, height);
    }
    fprintf(out, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#444\"/>\n", p->x, base, PANEL_W);
    snprintf(label, sizeof label, "%s (tallest: %" PRIu64 ")", p->title, most);
    put_text(out, p->x, 2 * MARGIN - 12, "start", label);
    put_text(out, p->x, base + 16, "start", p->from);
    put_text(out, p->x + PANEL_W, base + 16, "end", p->to);
}

static struct panel lengths_panel(const char *title, const struct rt_trace_lengths *l, double x)
{
    struct panel p = {.title = title, .bins = l->bins, .x = x};

    while (p.first + 1 < RT_TRACE_LENGTH_BINS && l->bins[p.first] == 0)
        p.first++;
    for (unsigned i = p.first; i < RT_TRACE_LENGTH_BINS; i++)
        p.count = l->bins[i] > 0 ? i - p.first + 1 : p.count;
    snprintf(p.from, sizeof p.from, "%" PRId64, l->min);
    snprintf(p.to, sizeof p.to, "%" PRId64 " tokens, by powers of 2", l->max);
    return p;
}

static struct panel rate_panel(const struct rt_trace_stat *s, double x)
{
    struct panel p = {.title = "requests over time", .bins = s->rate_bins, .x = x};

    for (unsigned i = 0; i < RT_TRACE_RATE_BINS; i++)
        p.count = s->rate_bins[i] > 0 ? i + 1 : p.count;
    snprintf(p.from, sizeof p.from, "0");
    snprintf(p.to, sizeof p.to, "%.0f s, bars of %g s", p.count * s->rate_bin_s, s->rate_bin_s);
    return p;
}

static void put_drawing(FILE *out, const char *trace, const struct rt_trace_stat *s)
{
    double width = 3 * PANEL_W + 4 * MARGIN, height = PANEL_H + 3 * MARGIN;
    struct panel panels[] = {
        lengths_panel("prompt tokens", &s->prompt, MARGIN),
        lengths_panel("output tokens", &s->output, 2 * MARGIN + PANEL_W),
        rate_panel(s, 3 * MARGIN + 2 * PANEL_W),
    };
    char title[512];

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            width, height);
    snprintf(title, sizeof title, "%.300s: %" PRIu64 " requests in %.0f s", trace, s->requests,
             s->duration_s);
    put_text(out, MARGIN, 28, "start", title);
    for (size_t i = 0; i < sizeof panels / sizeof panels[0]; i++)
        put_panel(out, &panels[i]);
    fputs("</svg>\n", out);
}

bool cli_trace_svg(const char *trace, const char *path, const struct rt_trace_stat *s,
                   struct rt_err *err)
{
    struct cli_out out;

    if (!cli_out_open(&out, path, err))
        return false;
    put_drawing(out.file, trace, s);
    return cli_out_close(&out, true, err);
}
