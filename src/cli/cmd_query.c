/* rooftrace query: SQL statements on a database, opened read-only.
 *
 * As a table, the first rows are kept until widths are known (at most ROWS_KEPT of them), then
 * everything streams, so a result of any size takes constant memory; later cells that are wider
 * than their column only push what follows. JSON and CSV stream from the first row. */
#include "cli_internal.h"
#include "rooftrace/query.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_KEPT    1000u
#define WIDE_COLUMNS 12 /* a single row of more columns is printed as a list */

static const struct rt_option table[] = {
    {RT_OPT_HEADING("options:")},
    {RT_OPT_FLAG("--json", "an array with one object a row")},
    {RT_OPT_FLAG("--csv", "comma-separated, with a header")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static const struct cli_page page = {
    .usage =
        "usage: rooftrace query DATABASE \"SELECT ...[; SELECT ...]\" [options]\n\n"
        "Asks a database in SQL and prints the rows; several statements follow each other. It is\n"
        "opened read-only. Tables and views are described in docs/schema.md; to begin with:\n"
        "summary, requests, metric, sample.\n",
    .options = {"rooftrace query", table, sizeof table / sizeof table[0]},
    .examples =
        "\nexamples:\n"
        "  rooftrace query out.db \"SELECT * FROM summary\"\n"
        "  rooftrace query out.db \"SELECT status, count(*) FROM requests GROUP BY status\"\n"
        "  rooftrace query out.db \"SELECT * FROM requests ORDER BY ttft_s DESC LIMIT 10\" --csv\n",
};

struct printer {
    enum cli_form form;
    size_t rows; /* so far */
    int columns;
    char **cells; /* kept rows, header first: ROWS_KEPT * columns texts; NULL = SQL NULL */
    size_t kept;  /* rows in cells, header included */
    size_t *width;
    bool *left;  /* columns with text are left-justified, the others to the right */
    bool failed; /* out of memory */
};

/* Bytes that are not continuation bytes of UTF-8. */
static size_t text_width(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0u) != 0x80u;
    return n;
}

static bool is_json_number(const char *text)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    double value;

    if (digits[0] < '0' || digits[0] > '9' ||
        (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'))
        return false;
    return rt_read_number(text, &value) && text[strlen(text) - 1] != '.';
}

static void print_csv_cell(const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(int columns, const char *const *cells)
{
    for (int i = 0; i < columns; i++) {
        if (i > 0)
            putchar(',');
        print_csv_cell(cells[i] != NULL ? cells[i] : "");
    }
    putchar('\n');
}

/* A value that reads as a number is written as one. */
static void print_json(bool first, int columns, const char *const *names, const char *const *values)
{
    fputs(first ? "[\n  {" : ",\n  {", stdout);
    for (int i = 0; i < columns; i++) {
        if (i > 0)
            fputs(", ", stdout);
        cli_json_text(stdout, names[i]);
        fputs(": ", stdout);
        if (values[i] == NULL)
            fputs("null", stdout);
        else if (is_json_number(values[i]))
            fputs(values[i], stdout);
        else
            cli_json_text(stdout, values[i]);
    }
    putchar('}');
}

/* Line breaks inside a cell would break the table. */
static void print_cell_text(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < 0x20 ? ' ' : *text);
}

static void print_row(const struct printer *p, const char *const *cells)
{
    for (int i = 0; i < p->columns; i++) {
        const char *text = cells[i] != NULL ? cells[i] : "";
        size_t width = text_width(text);
        int pad = width < p->width[i] ? (int)(p->width[i] - width) : 0;
        if (i > 0)
            fputs("  ", stdout);
        if (!p->left[i])
            printf("%*s", pad, "");
        print_cell_text(text);
        if (p->left[i] && i + 1 < p->columns)
            printf("%*s", pad, "");
    }
    putchar('\n');
}

static void forget_kept(struct printer *p)
{
    for (size_t i = 0; i < p->kept * (size_t)p->columns; i++)
        free(p->cells[i]);
    p->kept = 0;
}

/* Prints what was kept; from now on rows stream. */
static void flush_kept(struct printer *p)
{
    for (size_t r = 0; r < p->kept; r++) {
        print_row(p, (const char *const *)p->cells + r * (size_t)p->columns);
        if (r > 0)
            continue;
        for (int i = 0; i < p->columns; i++) {
            fputs(i > 0 ? "  " : "", stdout);
            for (size_t n = 0; n < p->width[i]; n++)
                putchar('-');
        }
        putchar('\n');
    }
    forget_kept(p);
}

/* One row with many columns: a line a column. */
static void print_list(const struct printer *p)
{
    size_t widest = 0;

    for (int i = 0; i < p->columns; i++)
        if (text_width(p->cells[i]) > widest)
            widest = text_width(p->cells[i]);
    for (int i = 0; i < p->columns; i++) {
        const char *value = p->cells[p->columns + i];
        print_cell_text(p->cells[i]);
        printf("%*s  ", (int)(widest - text_width(p->cells[i])), "");
        print_cell_text(value != NULL ? value : "");
        putchar('\n');
    }
}

static bool keep_row(struct printer *p, const char *const *cells, bool header)
{
    char **row = p->cells + p->kept * (size_t)p->columns;

    memset(row, 0, (size_t)p->columns * sizeof(*row));
    p->kept++;
    for (int i = 0; i < p->columns; i++) {
        double number;
        if (cells[i] == NULL)
            continue;
        row[i] = strdup(cells[i]);
        if (row[i] == NULL)
            return false;
        if (text_width(cells[i]) > p->width[i])
            p->width[i] = text_width(cells[i]);
        if (!header && !rt_read_number(cells[i], &number))
            p->left[i] = true;
    }
    return true;
}

static bool begin_table(struct printer *p, int columns, const char *const *names)
{
    size_t n = (size_t)columns;

    p->columns = columns;
    p->cells = calloc((ROWS_KEPT + 1) * n, sizeof(*p->cells));
    p->width = calloc(n, sizeof(*p->width));
    p->left = calloc(n, sizeof(*p->left));
    return p->cells != NULL && p->width != NULL && p->left != NULL && keep_row(p, names, true);
}

static bool table_row(struct printer *p, int columns, const char *const *names,
                      const char *const *values)
{
    if (p->rows == 0 && !begin_table(p, columns, names))
        return false;
    if (p->rows < ROWS_KEPT)
        return keep_row(p, values, false);
    if (p->kept > 0)
        flush_kept(p);
    print_row(p, values);
    return true;
}

static bool on_row(void *user, int columns, const char *const *names, const char *const *values)
{
    struct printer *p = user;

    if (p->form == CLI_FORM_JSON)
        print_json(p->rows == 0, columns, names, values);
    if (p->form == CLI_FORM_CSV && p->rows == 0)
        print_csv(columns, names);
    if (p->form == CLI_FORM_CSV)
        print_csv(columns, values);
    if (p->form == CLI_FORM_TABLE && !table_row(p, columns, names, values))
        p->failed = true;
    p->rows++;
    return !p->failed && !ferror(stdout);
}

static void end_rows(struct printer *p)
{
    if (p->form == CLI_FORM_JSON)
        fputs(p->rows > 0 ? "\n]\n" : "[]\n", stdout);
    if (p->rows == 1 && p->kept == 2 && p->columns > WIDE_COLUMNS)
        print_list(p);
    else
        flush_kept(p);
    forget_kept(p);
    free(p->cells);
    free(p->width);
    free(p->left);
}

/* The first statement of *sql, which moves on to the next one. */
static bool print_first(struct rt_db *db, const char **sql, enum cli_form form, struct rt_err *err)
{
    struct printer p = {.form = form};
    bool ok = rt_db_select_first(db, sql, on_row, &p, err);

    if (p.failed)
        ok = rt_fail_nomem(err, "rows");
    if (ok || p.rows > 0)
        end_rows(&p);
    return ok;
}

int cli_print_query(const char *path, const char *sql, enum cli_form form)
{
    struct rt_db *db = NULL;
    struct rt_err err = {0};
    bool ok = rt_db_open(path, &db, &err) && print_first(db, &sql, form, &err);

    while (ok && *sql != '\0' && !ferror(stdout)) {
        if (form != CLI_FORM_JSON)
            putchar('\n');
        ok = print_first(db, &sql, form, &err);
    }
    rt_db_close(db);
    if (!ok) {
        (void)cli_finish(); /* rows before an error come before its message */
        return cli_fail(&err);
    }
    return cli_finish();
}

int cli_query(int argc, char **argv)
{
    struct rt_options o;
    struct rt_err err = {0};
    enum cli_form form = CLI_FORM_TABLE;
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (rt_options_given(&o, "--json"))
        form = CLI_FORM_JSON;
    else if (rt_options_given(&o, "--csv"))
        form = CLI_FORM_CSV;
    if (!cli_words(&o, 2, 2, "a database and SQL in quotes", &err))
        status = cli_fail(&err);
    else
        status = cli_print_query(o.words[0], o.words[1], form);
    rt_options_release(&o);
    return status;
}
