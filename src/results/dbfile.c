/* Which files are ours.
 *
 * A file is looked at in three steps, each stricter: its kind and its first 100 bytes, read without
 * SQLite (a file of somebody else is neither locked nor given a journal to roll back); SQLite's own
 * opening; and, once the file is locked and recovered, the same identity through SQLite. In the
 * header of an SQLite file (https://www.sqlite.org/fileformat.html) bytes 0-15 are "SQLite format
 * 3\0", 60-63 user_version and 68-71 application_id, big-endian. */
#include "results_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 100

static bool identify(const char *path, int64_t application_id, int64_t version, struct rt_err *err)
{
    if (application_id != RT_APPLICATION_ID)
        return rt_fail(
            err, RT_EDB,
            "%s: a database of another program; it is left as it is: choose another file", path);
    if (version != RT_SCHEMA_VERSION)
        return rt_fail(
            err, RT_EDB,
            "%s: has schema version %lld, this rooftrace reads and writes version %d: choose "
            "another file, or use the rooftrace that wrote it",
            path, (long long)version, RT_SCHEMA_VERSION);
    return true;
}

static int64_t big_endian(const unsigned char *p)
{
    return (int64_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* Reads up to `size` bytes; -1 and errno when that fails. */
static ssize_t read_start(int fd, unsigned char *buf, size_t size)
{
    size_t have = 0;

    while (have < size) {
        ssize_t n = read(fd, buf + have, size - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static bool probe_header(const char *path, enum rt_dbfile *kind, struct rt_err *err)
{
    unsigned char header[HEADER_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t have;
    int why;

    if (fd < 0)
        return rt_fail(err, RT_EDB, "%s: cannot be opened: %s", path, strerror(errno));
    have = read_start(fd, header, sizeof header);
    why = errno;
    close(fd);
    if (have < 0)
        return rt_fail(err, RT_EDB, "%s: cannot be read: %s", path, strerror(why));
    *kind = have == 0 ? RT_DBFILE_EMPTY : RT_DBFILE_OURS;
    if (have == 0)
        return true;
    if (have < HEADER_BYTES || memcmp(header, "SQLite format 3", 16) != 0)
        return rt_fail(
            err, RT_EDB,
            "%s: exists and is not an SQLite database; it is left as it is: choose another "
            "file",
            path);
    return identify(path, big_endian(header + 68), big_endian(header + 60), err);
}

bool rt_dbfile_probe(const char *path, enum rt_dbfile *kind, struct rt_err *err)
{
    struct stat st;

    if (path[0] == '\0')
        return rt_fail(err, RT_EDB, "the database's path is empty");
    if (stat(path, &st) != 0) {
        *kind = RT_DBFILE_MISSING;
        return errno == ENOENT || rt_fail(err, RT_EDB, "%s: %s", path, strerror(errno));
    }
    if (S_ISDIR(st.st_mode))
        return rt_fail(err, RT_EDB, "%s: is a folder; name a file in it", path);
    if (!S_ISREG(st.st_mode))
        return rt_fail(err, RT_EDB, "%s: is not a regular file; a database needs one", path);
    return probe_header(path, kind, err);
}

bool rt_dbfile_folder(const char *path, struct rt_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + (slash == path) : 1; /* "/x": "/" */
    char *folder = slash ? strndup(path, length) : strdup(".");
    bool ok;

    if (!folder)
        return rt_fail_nomem(err, "path of the database");
    ok = access(folder, F_OK) == 0;
    if (!ok)
        rt_fail(err, RT_EDB, "%s: the folder %s does not exist (%s)", path, folder,
                strerror(errno));
    else if (access(folder, W_OK | X_OK) != 0)
        ok = rt_fail(err, RT_EDB, "%s: the folder %s is not writable (%s)", path, folder,
                     strerror(errno));
    free(folder);
    return ok;
}

bool rt_dbfile_verify(sqlite3 *db, const char *path, bool *empty, struct rt_err *err)
{
    int64_t schema_version = 0, application_id = 0, version = 0;

    /* SQLite counts changes of the schema: 0 is a database in which nothing was ever made. */
    if (!rt_sql_int(db, path, "PRAGMA schema_version", &schema_version, err) ||
        !rt_sql_int(db, path, "PRAGMA application_id", &application_id, err) ||
        !rt_sql_int(db, path, "PRAGMA user_version", &version, err))
        return false;
    *empty = schema_version == 0 && application_id == 0;
    return *empty || identify(path, application_id, version, err);
}

bool rt_dbfile_open(const char *path, int flags, sqlite3 **db, struct rt_err *err)
{
    size_t size = strlen(path) + 3;
    char *exact = malloc(size);
    bool ok;

    *db = NULL;
    if (!exact)
        return rt_fail_nomem(err, "path of the database");
    snprintf(exact, size, "%s%s", path[0] == '/' ? "" : "./", path);
    ok = sqlite3_open_v2(exact, db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;
    free(exact);
    if (ok)
        return true;
    if (*db)
        rt_sql_fail(*db, path, "opening", err);
    else
        rt_fail_nomem(err, "opening the database");
    sqlite3_close(*db);
    *db = NULL;
    return false;
}
