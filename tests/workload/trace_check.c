/* trace_check FILE...: for each file one line, "good" or the reader's message. Exit status 0 when
 * all files could be judged, 2 on a wrong call. Used by check_trace_schema.py. */
#include "rooftrace/trace.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: trace_check FILE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        struct rt_err err = {0};
        struct rt_trace *t = NULL;
        struct rt_request r;
        int found = rt_trace_open(argv[i], "jsonl", &t, &err) ? 1 : -1;
        while (found == 1)
            found = rt_trace_read(t, &r, &err);
        (void)printf("%s\n", found == 0 ? "good" : err.msg);
        rt_trace_free(t);
    }
    return 0;
}
