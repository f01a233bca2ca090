/* byte_stream.c: a trace file as a stream of bytes, decompressed when its first bytes are those of
 * gzip or Zstandard, whatever its name.
 *
 * Several gzip members or Zstandard frames one after the other are one stream (`cat a.gz b.gz`,
 * pigz, zstd -T0); zeros after the last gzip member are padding. "-" is standard input; nothing is
 * ever sought there unless rt_bytes_rewind asks for it, so pipes work.
 * Failure: data that ends inside a member or frame, or does not decode, is an error with the number
 * of bytes that were good; what was decoded before it is answered first. Formats that people also
 * hand over (xz, zip, Parquet ...) are named in the error.
 * Cost: plain bytes are read straight into the caller's buffer; memory is 128 KiB of input plus
 * what the decoder needs (gzip 32 KiB, Zstandard up to 128 MiB as the frame's window says). */
#include "workload_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define INPUT_BYTES (128u << 10)
#define MAGIC_BYTES 6u /* enough for every entry of `foreign` and both decoders */

enum coding { PLAIN, GZIP, ZSTD };

struct rt_bytes {
    int fd;
    bool is_stdin;
    bool input_ended; /* read() answered 0 */
    enum coding coding;
    unsigned char *input; /* INPUT_BYTES */
    size_t input_next, input_end;
    uint64_t decoded; /* bytes answered since the start */
    bool inside;      /* within a gzip member or Zstandard frame */
    bool failed;      /* `failure` is the answer from now on */
    struct rt_err failure;
    bool has_gzip; /* gzip is initialised */
    z_stream gzip;
    ZSTD_DStream *zstd;
};

static const struct {
    const char *magic;
    size_t len;
    const char *what;
} foreign[] = {{"BZh", 3, "bzip2-compressed"},
               {"\xfd"
                "7zXZ",
                5, "xz-compressed"},
               {"PK\x03\x04", 4, "a zip archive"},
               {"\x04\"M\x18", 4, "lz4-compressed"},
               {"PAR1", 4, "a Parquet file"},
               {"SQLite", 6, "an SQLite database"},
               {"\x1f\x9d", 2, "compress-ed (.Z)"},
               {"\xff\xfe", 2, "UTF-16 text"},
               {"\xfe\xff", 2, "UTF-16 text"}};

static bool fill_input(struct rt_bytes *b, struct rt_err *err)
{
    ssize_t got;
    do {
        got = read(b->fd, b->input + b->input_end, INPUT_BYTES - b->input_end);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return rt_fail(err, RT_EIO, "cannot read: %s", strerror(errno));
    b->input_ended = got == 0;
    b->input_end += (size_t)got;
    return true;
}

/* Makes sure that there is unread input, unless it has ended. */
static bool want_input(struct rt_bytes *b, struct rt_err *err)
{
    if (b->input_next < b->input_end || b->input_ended)
        return true;
    b->input_next = b->input_end = 0;
    return fill_input(b, err);
}

static bool is_gzip(const unsigned char *p, size_t len)
{
    return len >= 2 && p[0] == 0x1f && p[1] == 0x8b;
}

/* A frame (RFC 8878, 3.1.1) or a skippable frame (3.1.2), little-endian magic numbers. */
static bool is_zstd(const unsigned char *p, size_t len)
{
    if (len < 4)
        return false;
    uint32_t magic =
        (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return magic == 0xFD2FB528u || (magic & 0xFFFFFFF0u) == 0x184D2A50u;
}

static bool start_decoder(struct rt_bytes *b, struct rt_err *err)
{
    if (b->coding == GZIP && !b->has_gzip) {
        if (inflateInit2(&b->gzip, 15 + 16) != Z_OK) /* 15: largest window; +16: gzip, not zlib */
            return rt_fail_nomem(err, "gzip decoder");
        b->has_gzip = true;
    } else if (b->coding == GZIP) {
        (void)inflateReset(&b->gzip);
    }
    if (b->coding == ZSTD && b->zstd == NULL && (b->zstd = ZSTD_createDStream()) == NULL)
        return rt_fail_nomem(err, "Zstandard decoder");
    if (b->coding == ZSTD)
        (void)ZSTD_initDStream(b->zstd);
    b->inside = false;
    return true;
}

/* Reads the first bytes and tells the coding by them. */
static bool start(struct rt_bytes *b, struct rt_err *err)
{
    b->input_next = b->input_end = 0;
    b->decoded = 0;
    b->input_ended = b->failed = false;
    while (b->input_end < MAGIC_BYTES && !b->input_ended) {
        if (!fill_input(b, err))
            return false;
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (b->input_end >= foreign[i].len &&
            memcmp(b->input, foreign[i].magic, foreign[i].len) == 0)
            return rt_fail(err, RT_ETRACE,
                           "expected UTF-8 text, plain or compressed by gzip or zstd; "
                           "this is %s",
                           foreign[i].what);
    }
    b->coding = is_gzip(b->input, b->input_end)   ? GZIP
                : is_zstd(b->input, b->input_end) ? ZSTD
                                                  : PLAIN;
    return start_decoder(b, err);
}

bool rt_bytes_open(const char *path, struct rt_bytes **out, struct rt_err *err)
{
    struct rt_bytes *b = calloc(1, sizeof *b);
    if (b == NULL)
        return rt_fail_nomem(err, "trace reader");
    b->fd = -1;
    b->is_stdin = strcmp(path, "-") == 0;
    b->input = malloc(INPUT_BYTES);
    if (b->input == NULL) {
        (void)rt_fail_nomem(err, "trace reader");
        goto fail;
    }
    b->fd = b->is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (b->fd < 0) {
        (void)rt_fail(err, RT_EIO, "cannot open: %s", strerror(errno));
        goto fail;
    }
    if (!start(b, err))
        goto fail;
    *out = b;
    return true;
fail:
    rt_bytes_free(b);
    return false;
}

void rt_bytes_free(struct rt_bytes *b)
{
    if (b == NULL)
        return;
    if (b->has_gzip)
        (void)inflateEnd(&b->gzip);
    (void)ZSTD_freeDStream(b->zstd);
    if (b->fd >= 0 && !b->is_stdin)
        (void)close(b->fd);
    free(b->input);
    free(b);
}

static bool read_plain(struct rt_bytes *b, char *buf, size_t cap, size_t *got, struct rt_err *err)
{
    size_t buffered = b->input_end - b->input_next;
    if (buffered > 0) { /* what was read to tell the coding */
        *got = buffered < cap ? buffered : cap;
        memcpy(buf, b->input + b->input_next, *got);
        b->input_next += *got;
        return true;
    }
    ssize_t n;
    do {
        n = read(b->fd, buf, cap);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return rt_fail(err, RT_EIO, "cannot read: %s", strerror(errno));
    *got = (size_t)n;
    return true;
}

static bool fail_truncated(const struct rt_bytes *b, size_t got, struct rt_err *err)
{
    return rt_fail(err, RT_ETRACE,
                   "the %s data is cut off: it ends in the middle after %llu decompressed bytes",
                   b->coding == GZIP ? "gzip" : "zstd", (unsigned long long)(b->decoded + got));
}

static bool fail_corrupt(const struct rt_bytes *b, size_t got, const char *why, struct rt_err *err)
{
    return rt_fail(err, RT_ETRACE, "the %s data is corrupt after %llu decompressed bytes: %s",
                   b->coding == GZIP ? "gzip" : "zstd", (unsigned long long)(b->decoded + got),
                   why);
}

/* Between members: another one, zeros to the end, or something that does not belong there. */
static bool next_member(struct rt_bytes *b, size_t got, struct rt_err *err)
{
    while (b->input_next < b->input_end && b->input[b->input_next] == 0)
        b->input_next++;
    if (b->input_next == b->input_end)
        return true;
    if (b->input[b->input_next] != 0x1f)
        return fail_corrupt(b, got, "what follows the end is not gzip", err);
    (void)inflateReset(&b->gzip);
    b->inside = true;
    return true;
}

/* One call of inflate; *got grows. */
static bool inflate_some(struct rt_bytes *b, char *buf, size_t cap, size_t *got, struct rt_err *err)
{
    if (!b->inside && !next_member(b, *got, err))
        return false;
    if (!b->inside)
        return true;
    size_t room = cap - *got;
    b->gzip.next_in = b->input + b->input_next;
    b->gzip.avail_in = (uInt)(b->input_end - b->input_next);
    b->gzip.next_out = (unsigned char *)buf + *got;
    b->gzip.avail_out = room > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)room;
    uInt offered = b->gzip.avail_out;
    int status = inflate(&b->gzip, Z_NO_FLUSH);
    b->input_next = b->input_end - b->gzip.avail_in;
    *got += offered - b->gzip.avail_out;
    if (status == Z_STREAM_END)
        b->inside = false;
    else if (status == Z_MEM_ERROR)
        return rt_fail_nomem(err, "gzip decoder");
    else if (status != Z_OK && status != Z_BUF_ERROR)
        return fail_corrupt(b, *got, b->gzip.msg != NULL ? b->gzip.msg : "cannot decode", err);
    return true;
}

/* One call of the Zstandard decoder; *got grows. It starts the next frame by itself. */
static bool unzstd_some(struct rt_bytes *b, char *buf, size_t cap, size_t *got, struct rt_err *err)
{
    ZSTD_inBuffer in = {b->input, b->input_end, b->input_next};
    ZSTD_outBuffer out = {buf, cap, *got};
    size_t status = ZSTD_decompressStream(b->zstd, &out, &in);
    b->input_next = in.pos;
    *got = out.pos;
    if (ZSTD_isError(status))
        return fail_corrupt(b, *got, ZSTD_getErrorName(status), err);
    b->inside = status != 0;
    return true;
}

/* Decodes until something came out or the input has ended. */
static bool read_coded(struct rt_bytes *b, char *buf, size_t cap, size_t *got, struct rt_err *err)
{
    while (*got == 0) {
        if (!want_input(b, err))
            return false;
        bool dry = b->input_next == b->input_end; /* then the input has ended */
        if (dry && !b->inside)
            return true;
        if (!(b->coding == GZIP ? inflate_some : unzstd_some)(b, buf, cap, got, err))
            return false;
        if (dry && *got == 0 && b->inside)
            return fail_truncated(b, *got, err);
    }
    return true;
}

bool rt_bytes_read(struct rt_bytes *b, char *buf, size_t cap, size_t *got, struct rt_err *err)
{
    *got = 0;
    if (!b->failed) {
        b->failed = b->coding == PLAIN ? !read_plain(b, buf, cap, got, &b->failure)
                                       : !read_coded(b, buf, cap, got, &b->failure);
        b->decoded += *got;
    }
    if (!b->failed || *got > 0)
        return true; /* a failure waits until the good bytes before it are used */
    *err = b->failure;
    return false;
}

bool rt_bytes_can_rewind(const struct rt_bytes *b)
{
    return lseek(b->fd, 0, SEEK_CUR) >= 0;
}

bool rt_bytes_rewind(struct rt_bytes *b, struct rt_err *err)
{
    if (lseek(b->fd, 0, SEEK_SET) < 0)
        return rt_fail(err, RT_EIO, "cannot be read again from the start: %s",
                       errno == ESPIPE ? "it is a pipe" : strerror(errno));
    return start(b, err);
}

const char *rt_bytes_decoder(const struct rt_bytes *b)
{
    return b->coding == GZIP ? "gzip -dc" : b->coding == ZSTD ? "zstd -dc" : NULL;
}
