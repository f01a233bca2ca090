/* Files that commands write, but for databases: whole, or not at all.
 *
 *     open    rooftrace-NUMBER.partial beside FILE --close--> renamed to FILE
 *                                                  --fail---> removed; so it is when SIGINT,
 *                                                             SIGTERM or SIGHUP ends the process
 *
 * Until the renaming an older FILE stays as it was; its permissions stay, and where FILE is a link,
 * what it points to is replaced. Written in place is what cannot be replaced: standard output
 * ("-"), pipes, devices, whatever is named under /dev or /proc, and files in folders that take no
 * new ones. A limit on the size of files (SIGXFSZ) is an error of writing like a full disk.
 *
 * Failure: RT_EIO with the path and the system's reason, RT_ENOMEM. O(1) beside the bytes. */
#include "cli_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool cli_out_spares(const char *option, const char *path, const char *input, const char *what,
                    struct rt_err *err)
{
    struct stat x, y;

    if (path == NULL || input == NULL || strcmp(path, "-") == 0 || strcmp(input, "-") == 0 ||
        stat(path, &x) != 0 || stat(input, &y) != 0 || !S_ISREG(x.st_mode) ||
        x.st_dev != y.st_dev || x.st_ino != y.st_ino)
        return true;
    return rt_fail(err, RT_EUSAGE, "%s: %s is the %s itself", option, path, what);
}

static bool cannot(const struct cli_out *out, int why, struct rt_err *err)
{
    return rt_fail(err, RT_EIO, "%s: cannot write: %s", out->path,
                   why != 0 ? strerror(why) : "not all of it was taken");
}

/* A regular file, or none yet, whose name stands for nothing else. */
static bool replaceable(const char *path, struct stat *old, bool *is_new)
{
    struct stat link;

    *is_new = stat(path, old) != 0;
    if (*is_new && errno != ENOENT)
        return false;
    if (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
        return false;
    return *is_new ? lstat(path, &link) != 0 : S_ISREG(old->st_mode);
}

/* -1: no such folder, or it cannot be read. */
static int open_folder(char *path)
{
    char *slash = strrchr(path, '/');
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd;

    if (slash == NULL)
        return open(".", flags);
    if (slash == path)
        return open("/", flags);
    *slash = '\0';
    fd = open(path, flags);
    *slash = '/';
    return fd;
}

static void release(struct cli_out *out)
{
    if (out->folder >= 0)
        (void)close(out->folder);
    free(out->target);
    *out = (struct cli_out){.folder = -1};
}

/* out->file beside out->target. False: not to be had there, nothing was left. */
static bool open_beside(struct cli_out *out, const struct stat *old, bool is_new)
{
    out->folder = open_folder(out->target);
    int fd = out->folder >= 0 ? cli_partial_create(out->folder, out->partial) : -1;
    if (fd < 0)
        return false;
    if (is_new || fchmod(fd, old->st_mode & 07777) == 0)
        out->file = fdopen(fd, "w");
    if (out->file == NULL) {
        (void)close(fd);
        (void)unlinkat(out->folder, out->partial, 0);
        cli_partial_done();
    }
    return out->file != NULL;
}

bool cli_out_open(struct cli_out *out, const char *path, struct rt_err *err)
{
    struct stat old;
    bool is_new = true;

    *out = (struct cli_out){.path = path, .folder = -1};
    if (strcmp(path, "-") == 0) {
        out->file = stdout;
        return true;
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    if (replaceable(path, &old, &is_new)) {
        out->target = is_new ? strdup(path) : realpath(path, NULL);
        if (out->target != NULL && open_beside(out, &old, is_new))
            return true;
        release(out);
        out->path = path;
    }
    out->file = fopen(path, "w");
    return out->file != NULL || cannot(out, errno, err);
}

/* Everything reached the file? Closes it. */
static bool finish(struct cli_out *out, bool ok, struct rt_err *err)
{
    errno = 0;
    bool bad = fflush(out->file) != 0;
    int why = errno;

    bad = ferror(out->file) != 0 || bad;
    if (out->file != stdout && fclose(out->file) != 0 && !bad) {
        bad = true;
        why = errno;
    }
    return ok && bad ? cannot(out, why, err) : ok;
}

bool cli_out_close(struct cli_out *out, bool ok, struct rt_err *err)
{
    if (out->file == NULL)
        return ok;
    ok = finish(out, ok, err);
    if (out->target != NULL) {
        if (ok && renameat(out->folder, out->partial, AT_FDCWD, out->target) != 0)
            ok = cannot(out, errno, err);
        if (!ok)
            (void)unlinkat(out->folder, out->partial, 0);
        cli_partial_done();
    }
    release(out);
    return ok;
}
