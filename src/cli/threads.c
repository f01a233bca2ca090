/* Threads of the program: as many trials at a time as asked for, and libuv's pool made to fit. */
#include "cli_internal.h"
#include "rooftrace/sweep.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

/* Those that the process may run on, where libuv can say so. */
static unsigned processors(void)
{
#if UV_VERSION_HEX >= ((1 << 16) | (44 << 8))
    return uv_available_parallelism();
#else
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
#endif
}

unsigned cli_jobs(const struct rt_options *o)
{
    unsigned usual = processors();
    char text[16];

    if (usual > RT_SWEEP_MAX_JOBS)
        usual = RT_SWEEP_MAX_JOBS;
    unsigned jobs = (unsigned)rt_options_int(o, "--jobs", (int64_t)usual);
    snprintf(text, sizeof text, "%u", jobs);
    (void)setenv("UV_THREADPOOL_SIZE", text, 1); /* without memory: 4 threads, slower only */
    return jobs;
}
