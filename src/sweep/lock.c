/* A lock beside a database, so that two sweeps do not remove each other's unfinished runs.
 *
 * POSIX record locks go with the process, also when it is killed, and work on network file systems
 * that have a lock service. They are on a file of their own: one on the database would be lost as
 * soon as SQLite closed it, and closing this one would lose SQLite's. The file is removed at the
 * end; whoever waited for a file that was removed meanwhile looks again. */
#include "campaign_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100

/* Is the open file still the one that the path names? */
static bool still_there(int fd, const char *path)
{
    struct stat mine, named;

    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
}

/* 1: locked; 0: the file was removed meanwhile; -1 and errno. */
static int try_lock(struct rt_lock *l)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int why;

    l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0)
        return -1;
    if (fcntl(l->fd, F_SETLK, &whole) == 0 && still_there(l->fd, l->path))
        return 1;
    why = errno;
    bool removed = !still_there(l->fd, l->path);
    close(l->fd);
    l->fd = -1;
    errno = why;
    return removed ? 0 : -1;
}

bool rt_lock_take(struct rt_lock *l, const char *database, struct rt_err *err)
{
    size_t size = strlen(database) + sizeof ".lock";
    int got = 0;

    l->fd = -1;
    l->path = malloc(size);
    if (l->path == NULL)
        return rt_fail_nomem(err, "a path");
    snprintf(l->path, size, "%s.lock", database);
    for (int i = 0; i < TRIES && got == 0; i++)
        got = try_lock(l);
    if (got == 1)
        return true;
    if (got == 0 || errno == EACCES || errno == EAGAIN)
        rt_fail(err, RT_EDB, "%s: another sweep is writing to it (%s is locked)", database,
                l->path);
    else
        rt_fail(err, RT_EDB, "%s: cannot be locked: %s", l->path, strerror(errno));
    rt_lock_release(l);
    return false;
}

void rt_lock_release(struct rt_lock *l)
{
    if (l->fd >= 0) {
        (void)unlink(l->path); /* one that stays is in nobody's way */
        close(l->fd);
    }
    free(l->path);
    *l = (struct rt_lock){.fd = -1};
}
