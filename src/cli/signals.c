/* Ctrl-C and a request to terminate. A command that can stop in good order notes the first signal
 * and ends at the second; any other one ends at once, and a file that it has written half goes with
 * it. Signals that were ignored when the program started, as nohup does, stay ignored. */
#include "cli_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRIES 100 /* names */

/* The file-scope variables of the program: a handler can reach nothing else. The half-written file
 * is in the folder of descriptor partial_folder - 1 (0: there is none), its name has the number. */
static volatile sig_atomic_t stop_requested, partial_folder, partial_number;

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
#define ENDING (sizeof ending / sizeof ending[0])

static void on_signal(int number)
{
    (void)number;
    stop_requested = 1;
}

/* The second signal finds the default action again. */
void cli_catch_signals(void)
{
    struct sigaction action = {0};

    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    stop_requested = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_stop_requested(void)
{
    return stop_requested != 0;
}

/* ---- a file that is not whole yet ------------------------------------------------------------ */

/* By hand: a handler may not call snprintf. */
static void print_name(unsigned number, char name[CLI_PARTIAL_NAME])
{
    static const char hex[] = "0123456789abcdef";
    static const char pattern[CLI_PARTIAL_NAME] = "rooftrace-00000000.partial";
    unsigned digit = sizeof "rooftrace-00000000" - 1;

    memcpy(name, pattern, CLI_PARTIAL_NAME);
    for (unsigned i = 0; i < 8; i++, number >>= 4)
        name[--digit] = hex[number & 15];
}

/* The default action is back (SA_RESETHAND): the signal ends the process as if never caught. */
static void remove_partial(int number)
{
    char name[CLI_PARTIAL_NAME];

    print_name((unsigned)partial_number, name);
    if (partial_folder > 0)
        (void)unlinkat(partial_folder - 1, name, 0);
    (void)raise(number);
}

static void hold(sigset_t *before)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ENDING; i++)
        sigaddset(&set, ending[i]);
    (void)sigprocmask(SIG_BLOCK, &set, before);
}

static void handle(void (*handler)(int))
{
    struct sigaction action = {0}, old;

    action.sa_handler = handler;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ENDING; i++)
        if (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(ending[i], &action, NULL);
}

int cli_partial_create(int folder, char name[CLI_PARTIAL_NAME])
{
    struct timespec now = {0};
    sigset_t before;
    int fd = -1;

    assert(partial_folder == 0);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    unsigned number = (unsigned)now.tv_nsec ^ (unsigned)now.tv_sec << 10 ^ (unsigned)getpid() << 4;
    hold(&before);
    for (int i = 0; fd < 0 && i < TRIES && (i == 0 || errno == EEXIST); i++) {
        number = (number + 1) & 0x7fffffff;
        print_name(number, name);
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd >= 0) {
        partial_number = (sig_atomic_t)number;
        partial_folder = folder + 1;
        handle(remove_partial);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return fd;
}

void cli_partial_done(void)
{
    sigset_t before;

    hold(&before);
    partial_folder = 0;
    handle(SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}
