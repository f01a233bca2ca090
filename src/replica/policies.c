/* The one list of batching policies: help texts, errors and tests read it. */
#include "policies_internal.h"

static const struct rt_policy *const policies[] = {
    &policy_static, &policy_continuous, &policy_prefill_first, &policy_chunked, &policy_sarathi,
};

unsigned rt_policy_count(void)
{
    return sizeof policies / sizeof policies[0];
}

const struct rt_policy *policy_at(unsigned i)
{
    return policies[i];
}

const char *rt_policy_name(unsigned i)
{
    return policies[i]->name;
}

bool rt_policy_takes_kv(unsigned i)
{
    return policies[i]->takes_kv;
}

const char *rt_policy_help(unsigned i)
{
    return policies[i]->help;
}
