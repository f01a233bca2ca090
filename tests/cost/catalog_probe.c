/* Reads "gpu PATH", "model PATH" and "folder PATH" from standard input, one a line, and answers
 * each with a line "ok" or the error: how tests in other languages ask what the C reader thinks. */
#include "rooftrace/catalog.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"

#include <stdio.h>
#include <string.h>

static bool probe(const struct rt_catalog *c, const char *kind, const char *path,
                  struct rt_err *err)
{
    struct rt_catalog *folder;
    struct rt_gpu gpu;
    struct rt_model model;

    if (strcmp(kind, "gpu") == 0)
        return rt_catalog_gpu(c, path, &gpu, err);
    if (strcmp(kind, "model") == 0)
        return rt_catalog_model(c, path, &model, err);
    if (!rt_catalog_open(path, &folder, err))
        return false;
    rt_catalog_free(folder);
    return true;
}

int main(void)
{
    char line[1024];
    struct rt_catalog *c;
    struct rt_err err;

    if (!rt_catalog_open(NULL, &c, &err)) {
        puts(err.msg);
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *blank = strchr(line, ' ');
        if (blank == NULL)
            break;
        *blank = '\0';
        puts(probe(c, line, blank + 1, &err) ? "ok" : err.msg);
    }
    rt_catalog_free(c);
    return 0;
}
