/* A pasted vLLM command line into keys of a scenario: see engine_args.h.
 *
 * Happy path: split the line into words, find the command among them, give each option its value,
 * let engine_keys.c say what it means. Options that it does not know are listed as ignored; how
 * many words they take is guessed from the model being known already or not. Failures: a quote
 * that is never closed, another command, a value that is missing or malformed. O(words * options).
 */
#include "rooftrace/engine_args.h"
#include "engine_args_internal.h"
#include "shell_internal.h"

#include <cjson/cJSON.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_SHOWN 48 /* characters of a name in the list of ignored options */

/* The words of one command. */
struct reader {
    const struct shell_token *words;
    size_t at, count;
    struct engine_keys keys;
    char *ignored;           /* room for every word of the line */
    const char *last_option; /* of those that are known; for messages */
};

/* Appends a name, and nothing but a name: letters, digits, '-', '_', '.'. */
static void ignore(struct reader *r, const char *name, size_t len)
{
    size_t used = strlen(r->ignored);

    if (used > 0) {
        memcpy(r->ignored + used, ", ", 2);
        used += 2;
    }
    for (size_t i = 0; i < len && i < NAME_SHOWN; i++) {
        char c = name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.';
        r->ignored[used++] = plain ? c : '?';
    }
    r->ignored[used] = '\0';
}

/* ---- the words ------------------------------------------------------------------------------- */

/* An option, not a value: "-1" is a value. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

static bool has_value_word(const struct reader *r)
{
    return r->at < r->count && !is_option(r->words[r->at].text);
}

/* Characters of the option's name in a word: up to '=', or to the digits of -tp2. */
static size_t name_length(const char *word)
{
    size_t len = strcspn(word, "=");

    if (word[1] != '-' && len > 2)
        len = 1 + strcspn(word + 1, "=0123456789.");
    return len;
}

/* Options that nobody here knows, but whose name says that they take no value. */
static bool named_as_flag(const char *word)
{
    static const char *const begins[] = {"--no-",     "--no_",      "--enable-",
                                         "--enable_", "--disable-", "--disable_"};

    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (strncmp(word, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* "true" or "false" in any case; false: neither. */
static bool read_truth(const char *text, bool *on)
{
    *on = strcasecmp(text, "true") == 0;
    return *on || strcasecmp(text, "false") == 0;
}

/* An option that takes no value, but may be followed by true or false. */
static bool read_switch(struct reader *r, const struct engine_option *o, const char *attached,
                        struct rt_err *err)
{
    bool on = true;

    if (o->form == FORM_OFF && attached != NULL)
        return rt_fail(err, RT_EUSAGE, "--engine-args: %s: takes no value", o->name);
    if (attached != NULL && !read_truth(attached, &on))
        return engine_option_fail(o, "true or false", attached, err);
    if (attached == NULL && o->form == FORM_ON && has_value_word(r)) {
        if (read_truth(r->words[r->at].text, &on))
            r->at++;
        else
            on = true;
    }
    engine_keys_switch(&r->keys, o, o->form == FORM_ON && on);
    return true;
}

static bool read_known(struct reader *r, const struct engine_option *o, const char *attached,
                       struct rt_err *err)
{
    bool understood = true;

    if (o->form == FORM_ON || o->form == FORM_OFF)
        return read_switch(r, o, attached, err);
    if (attached == NULL && has_value_word(r))
        attached = r->words[r->at++].text;
    if (attached == NULL || attached[0] == '\0')
        return rt_fail(err, RT_EUSAGE, "--engine-args: %s: expected a value", o->name);
    if (!engine_keys_value(&r->keys, o, attached, &understood, err))
        return false;
    if (!understood)
        ignore(r, o->name, strlen(o->name));
    return true;
}

/* Passes over the values of an option without a meaning here; `o`: what is known of it, or NULL. */
static void skip_values(struct reader *r, const struct engine_option *o, const char *word)
{
    bool flag = o != NULL ? o->form == FORM_FLAG : named_as_flag(word);
    bool list = o != NULL ? o->form == FORM_LIST : r->keys.has_model;
    bool truth;

    if (!has_value_word(r))
        return;
    if (flag) {
        r->at += read_truth(r->words[r->at].text, &truth) ? 1 : 0;
        return;
    }
    r->at++;
    while (list && has_value_word(r))
        r->at++;
}

/* At an option: its name, then its value if it takes one. */
static bool read_option(struct reader *r, struct rt_err *err)
{
    const char *word = r->words[r->at++].text;
    size_t len = name_length(word);
    const struct engine_option *o = engine_option_find(word, len);

    r->last_option = o != NULL ? o->name : "an option";
    if (o != NULL && o->form != FORM_FLAG && o->form != FORM_LIST)
        return read_known(r, o, word[len] == '\0' ? NULL : word + len + (word[len] == '='), err);
    ignore(r, word, len);
    if (word[len] == '\0' || (o != NULL && o->form == FORM_LIST))
        skip_values(r, o, word);
    return true;
}

static bool read_word(struct reader *r, struct rt_err *err)
{
    const char *word = r->words[r->at].text;

    if (is_option(word))
        return read_option(r, err);
    if (!r->keys.has_model && word[0] != '\0') {
        engine_keys_model(&r->keys, word);
        r->at++;
        return true;
    }
    return rt_fail(err, RT_EUSAGE, /* what it says may be a secret */
                   "--engine-args: a word behind %s is neither an option nor a value of one",
                   r->last_option != NULL ? r->last_option : "the model");
}

/* ---- where the command begins and ends ------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Words that begin the command, when `token` is its first: 0 for none. */
static size_t command_words(const struct shell_token *token, size_t left)
{
    const char *word = token->text;

    if (token->kind != SHELL_WORD)
        return 0;
    if (strcmp(base_name(word), "vllm") == 0)
        return left > 1 && token[1].kind == SHELL_WORD && strcmp(token[1].text, "serve") == 0 ? 2
                                                                                              : 0;
    if (strcmp(word, "vllm.entrypoints.openai.api_server") == 0 ||
        strcmp(word, "vllm.entrypoints.api_server") == 0)
        return 1;
    /* an image, perhaps with a tag: docker run ... vllm/vllm-openai:v0.8.5 --model M */
    return word[0] != '-' && strncmp(base_name(word), "vllm-openai", 11) == 0 ? 1 : 0;
}

/* NAME=VALUE */
static size_t assignment_length(const char *word)
{
    size_t len = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return len > 0 && word[len] == '=' && (word[0] < '0' || word[0] > '9') ? len : 0;
}

/* First word behind the command's name, or false. Options alone stand for themselves. */
static bool find_begin(struct reader *r, const struct shell_words *w, struct rt_err *err)
{
    size_t first = 0;

    for (size_t i = 0; i < w->count; i++) {
        size_t words = command_words(&w->tokens[i], w->count - i);
        if (words > 0) {
            r->at = i + words;
            return true;
        }
    }
    while (first < w->count &&
           (w->tokens[first].kind != SHELL_WORD || assignment_length(w->tokens[first].text) > 0))
        first++;
    if (first == w->count || !is_option(w->tokens[first].text))
        return rt_fail(err, RT_EUSAGE,
                       "--engine-args: expected \"vllm serve MODEL --option ...\" or options, read "
                       "%s",
                       first == w->count ? "nothing" : "another command");
    r->at = first;
    return true;
}

/* Up to an operator, or to a line that does not go on with an option. Newlines inside vanish, in
 * place: words move to the front. */
static void find_end(struct reader *r, struct shell_words *w)
{
    size_t to = r->at, i = r->at;

    for (; i < w->count && w->tokens[i].kind != SHELL_END; i++) {
        if (w->tokens[i].kind == SHELL_WORD) {
            w->tokens[to++] = w->tokens[i];
            continue;
        }
        while (i + 1 < w->count && w->tokens[i + 1].kind == SHELL_NEWLINE)
            i++;
        if (i + 1 < w->count &&
            (w->tokens[i + 1].kind != SHELL_WORD || !is_option(w->tokens[i + 1].text)))
            break;
    }
    r->count = to;
}

static void note_environment(struct reader *r)
{
    for (size_t i = 0; i < r->at; i++) {
        size_t len = r->words[i].kind == SHELL_WORD ? assignment_length(r->words[i].text) : 0;
        if (len > 0)
            ignore(r, r->words[i].text, len);
    }
}

static bool read_all(struct reader *r, struct shell_words *w, struct rt_err *err)
{
    if (!find_begin(r, w, err))
        return false;
    note_environment(r);
    find_end(r, w);
    while (r->at < r->count)
        if (!read_word(r, err))
            return false;
    return true;
}

/* Hands the reader's results over. */
static bool finish(struct reader *r, struct rt_engine_args *out, struct rt_err *err)
{
    char *keys = engine_keys_print(&r->keys);

    if (keys == NULL)
        return rt_fail_nomem(err, "--engine-args");
    *out = (struct rt_engine_args){
        .keys = keys,
        .ignored = r->ignored,
        .has_model = r->keys.has_model,
        .fp8_activations = r->keys.fp8,
    };
    r->ignored = NULL;
    return true;
}

bool rt_engine_args_parse(const char *line, struct rt_engine_args *out, struct rt_err *err)
{
    struct shell_words words;
    struct reader r = {0};
    bool ok;

    if (!shell_split(line, &words, err))
        return false;
    r.words = words.tokens;
    /* ", " beside every word, with room to spare. */
    r.ignored = calloc(strlen(line) + (words.count + 1) * 16, 1);
    ok = (r.ignored != NULL || rt_fail_nomem(err, "--engine-args")) &&
         engine_keys_init(&r.keys, err) && read_all(&r, &words, err) && finish(&r, out, err);
    engine_keys_release(&r.keys);
    free(r.ignored);
    shell_release(&words);
    return ok;
}

void rt_engine_args_release(struct rt_engine_args *a)
{
    cJSON_free(a->keys);
    free(a->ignored);
    *a = (struct rt_engine_args){0};
}
