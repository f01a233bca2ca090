/* rooftrace size: cmd_size.c runs it, size_plan.c makes the plan from options, size_text.c and
 * size_json.c print what was found. */
#ifndef RT_CLI_SIZE_INTERNAL_H
#define RT_CLI_SIZE_INTERNAL_H

#include "cli_internal.h"
#include "rooftrace/size.h"

/* The plan that --plan and options give together; options win. */
bool size_plan_from_options(const struct rt_options *o, const struct rt_catalog *catalog,
                            struct rt_size_plan *out, struct rt_err *err) RT_MUST_USE;
void size_print_text(const struct rt_size_plan *plan, const struct rt_size_result *r);
void size_print_json(const struct rt_size_plan *plan, const struct rt_size_result *r);

#endif
