/* The simplex finds the bottom of smooth, kinked and curved valleys, stays within its evaluations,
 * survives places without a value, and gives the same bits twice. */
#include "rooftrace/minimise.h"
#include "support/test.h"

#include <math.h>

struct count {
    unsigned calls;
};

static double bowl(const double *x, void *context)
{
    ((struct count *)context)->calls++;
    return (x[0] - 3) * (x[0] - 3) + 10 * (x[1] + 1) * (x[1] + 1);
}

static double kinks(const double *x, void *context)
{
    ((struct count *)context)->calls++;
    return fabs(x[0] - 2) + 3 * fabs(x[1] - x[0]) + fabs(x[2] + 4);
}

/* Rosenbrock's banana. */
static double banana(const double *x, void *context)
{
    ((struct count *)context)->calls++;
    return 100 * (x[1] - x[0] * x[0]) * (x[1] - x[0] * x[0]) + (1 - x[0]) * (1 - x[0]);
}

static double half_space(const double *x, void *context)
{
    ((struct count *)context)->calls++;
    return x[0] < 1 ? (double)NAN : (x[0] - 1.5) * (x[0] - 1.5);
}

static void check(double (*f)(const double *, void *), unsigned n, const double *start,
                  const double *want, unsigned evaluations)
{
    struct count count = {0};
    double x[RT_MINIMISE_MAX], y[RT_MINIMISE_MAX];
    struct rt_minimise m = {.count = n,
                            .evaluations = evaluations,
                            .restarts = 3,
                            .step = 0.5,
                            .value = f,
                            .context = &count};
    for (unsigned i = 0; i < n; i++)
        x[i] = y[i] = start[i];
    double least = rt_minimise(&m, x);
    assert_true(count.calls <= evaluations + 3 * (2 * n + 4));
    assert_true(least == f(x, &count));
    for (unsigned i = 0; i < n; i++)
        if (fabs(x[i] - want[i]) > 1e-3)
            fail_msg("x[%u] = %g, expected %g", i, x[i], want[i]);
    (void)rt_minimise(&m, y);
    assert_memory_equal(x, y, n * sizeof x[0]);
}

static void test_bottoms(void **state)
{
    (void)state;
    check(bowl, 2, (double[]){-20, 30}, (double[]){3, -1}, 900);
    check(kinks, 3, (double[]){9, -5, 0}, (double[]){2, 2, -4}, 2000);
    check(banana, 2, (double[]){-1.2, 1}, (double[]){1, 1}, 2000);
    check(half_space, 1, (double[]){1.2}, (double[]){1.5}, 300);
}

/* With no more than its first simplex it still answers the best of it. */
static void test_few_evaluations(void **state)
{
    struct count count = {0};
    double x[2] = {0, 0};
    struct rt_minimise m = {
        .count = 2, .evaluations = 1, .restarts = 1, .step = 1, .value = bowl, .context = &count};
    (void)state;
    double least = rt_minimise(&m, x);
    assert_true(least <= 19 && count.calls <= 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bottoms),
        cmocka_unit_test(test_few_evaluations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
