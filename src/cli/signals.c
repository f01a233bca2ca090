/* Ctrl-C and a request to terminate: the first one is noted, the second ends the process. */
#include "cli_internal.h"

#include <signal.h>

/* The one file-scope variable of the program: a handler can reach nothing else. */
static volatile sig_atomic_t stop_requested;

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
