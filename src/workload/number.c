/* number.c: decimal text to numbers, strictly and exactly.
 *
 * One pass reads sign, digits, fraction and exponent into a 64-bit mantissa and a power of ten.
 * When the mantissa is below 2^53 and the power within +-22, both are exact doubles and one IEEE
 * multiplication or division rounds correctly (Clinger, "How to read floating point numbers
 * accurately", PLDI 1990); everything else goes to strtod, which rounds correctly too. The grammar
 * is checked here in either case, so hex, "inf", "nan" and trailing text never get through.
 * O(len). */
#include "workload_internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

_Static_assert(FLT_EVAL_METHOD == 0 && DBL_MANT_DIG == 53,
               "the exact path needs products rounded once, to IEEE doubles");

#define MAX_EXACT_MANTISSA (UINT64_C(1) << 53)
#define MAX_EXACT_POWER    22
#define MAX_EXPONENT       100000 /* larger ones are cut here: the result is 0 or inf anyway */

struct decimal { /* value = mantissa * 10^power, plus what was dropped */
    uint64_t mantissa;
    long power;
    bool negative;
    bool cut;     /* more digits than the mantissa holds */
    bool dropped; /* one of those was not 0 */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes digits into the mantissa; `step` is what one of them adds to the power (fraction: -1). */
static const char *take_digits(struct decimal *d, const char *p, const char *end, int step)
{
    const char *begin = p;
    uint64_t mantissa = d->mantissa;
    for (; p < end && is_digit(*p) && mantissa <= (UINT64_MAX - 9) / 10; p++)
        mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    d->power += step * (p - begin);
    for (; p < end && is_digit(*p); p++) { /* rare: the mantissa is nearly full */
        uint64_t digit = (uint64_t)(*p - '0');
        if (!d->cut && mantissa <= (UINT64_MAX - digit) / 10) {
            mantissa = mantissa * 10 + digit;
            d->power += step;
        } else {
            d->cut = true;
            d->dropped |= digit != 0;
            d->power += 1 + step;
        }
    }
    d->mantissa = mantissa;
    return p;
}

/* "e-12" at p; returns where it ends, or NULL when the digits are missing. */
static const char *take_exponent(struct decimal *d, const char *p, const char *end)
{
    p++;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p >= end || !is_digit(*p))
        return NULL;
    long exponent = 0;
    for (; p < end && is_digit(*p); p++) {
        if (exponent < MAX_EXPONENT)
            exponent = exponent * 10 + (*p - '0');
    }
    d->power += negative ? -exponent : exponent;
    return p;
}

static bool scan(const char *text, size_t len, struct decimal *d)
{
    const char *p = text, *end = text + len;
    *d = (struct decimal){.mantissa = 0};
    d->negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    const char *whole = p;
    p = take_digits(d, p, end, 0);
    size_t digits = (size_t)(p - whole);
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        p = take_digits(d, p, end, -1);
        digits += (size_t)(p - fraction);
    }
    if (digits == 0)
        return false;
    if (p < end && (*p == 'e' || *p == 'E'))
        p = take_exponent(d, p, end);
    return p == end;
}

static double power_of_ten(long n) /* 0..22, exact */
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    return powers[n < 0 ? 0 : n > 22 ? 22 : n];
}

static double value_of(const struct decimal *d, const char *text)
{
    if (d->cut || d->mantissa > MAX_EXACT_MANTISSA || d->power > MAX_EXACT_POWER ||
        d->power < -MAX_EXACT_POWER)
        return strtod(text, NULL);
    double value = (double)d->mantissa;
    value = d->power < 0 ? value / power_of_ten(-d->power) : value * power_of_ten(d->power);
    return d->negative ? -value : value;
}

enum rt_number rt_number_double(const char *text, size_t len, double *out)
{
    struct decimal d;
    if (!scan(text, len, &d))
        return RT_NUMBER_SYNTAX;
    *out = value_of(&d, text);
    return isinf(*out) ? RT_NUMBER_RANGE : RT_NUMBER_OK;
}

enum rt_number rt_number_whole(const char *text, size_t len, bool *negative, uint64_t *magnitude)
{
    struct decimal d;
    if (!scan(text, len, &d))
        return RT_NUMBER_SYNTAX;
    *negative = d.negative;
    if (d.dropped)
        return d.power >= 0 ? RT_NUMBER_RANGE : RT_NUMBER_FRACTION;
    for (; d.power > 0 && d.mantissa != 0; d.power--) {
        if (d.mantissa > UINT64_MAX / 10)
            return RT_NUMBER_RANGE;
        d.mantissa *= 10;
    }
    for (; d.power < 0 && d.mantissa != 0; d.power++) {
        if (d.mantissa % 10 != 0)
            return RT_NUMBER_FRACTION;
        d.mantissa /= 10;
    }
    *magnitude = d.mantissa;
    return RT_NUMBER_OK;
}

/* Half to even on the way from a double: llrint in the default rounding mode. */
static enum rt_number scale_double(const struct decimal *d, const char *text, int power,
                                   int64_t max, int64_t *out)
{
    double value = value_of(d, text) * power_of_ten(power);
    if (!(value <= (double)max))
        return RT_NUMBER_RANGE;
    *out = llrint(value);
    return *out <= max ? RT_NUMBER_OK : RT_NUMBER_RANGE;
}

enum rt_number rt_number_scaled(const char *text, size_t len, int power, int64_t max, int64_t *out)
{
    static const uint64_t powers[] = {1,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000,
                                      100000000000000000,
                                      1000000000000000000};
    struct decimal d;
    if (!scan(text, len, &d))
        return RT_NUMBER_SYNTAX;
    if (d.negative && d.mantissa != 0)
        return RT_NUMBER_RANGE;
    uint64_t whole = d.mantissa;
    long left = d.power + power;
    for (; left < 0 && whole != 0 && whole % 10 == 0; left++)
        whole /= 10;
    if (whole != 0 && (left < 0 || d.dropped))
        return scale_double(&d, text, power, max, out);
    if (whole != 0 && (left >= (long)(sizeof powers / sizeof powers[0]) ||
                       __builtin_mul_overflow(whole, powers[left], &whole)))
        return RT_NUMBER_RANGE;
    *out = (int64_t)whole;
    return whole <= (uint64_t)max ? RT_NUMBER_OK : RT_NUMBER_RANGE;
}
