/* stamp.c: calendar times of the Azure traces to nanoseconds since 1970, by integer arithmetic.
 *
 *     2023-11-16 18:15:46.6805900         2023: seven fraction digits, no zone (taken as UTC)
 *     2024-05-10 00:00:00.009930+00:00    2024: offset; the fraction may be missing
 *     2024-10-15T12:00:00.269Z            2025: T and Z
 *
 * Date and time are separated by one blank or T; the fraction has 1 to 9 digits; the zone is none,
 * Z or +-HH:MM. A date that does not exist, a second 60 (the traces have none) and times before
 * 1970 or beyond 2261 are refused. O(1). */
#include "workload_internal.h"

#define NS_PER_S INT64_C(1000000000)

/* Exactly n digits at *p as a number, and past them; -1 when there are not. */
static int take(const char **p, const char *end, int n)
{
    int value = 0;
    if (end - *p < n)
        return -1;
    for (int i = 0; i < n; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *p += n;
    return value;
}

static bool take_char(const char **p, const char *end, char c)
{
    if (*p >= end || **p != c)
        return false;
    (*p)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. Years run from March here, so that the
 * leap day is the last of its year; 146,097 days make 400 years (Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms", days_from_civil). */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* "2023-11-16" to seconds. */
static bool take_date(const char **p, const char *end, int64_t *seconds)
{
    int year = take(p, end, 4);
    bool dashes = take_char(p, end, '-');
    int month = take(p, end, 2);
    dashes = take_char(p, end, '-') && dashes;
    int day = take(p, end, 2);
    if (!dashes || year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month))
        return false;
    *seconds = days_since_1970(year, month, day) * 86400;
    return true;
}

/* "18:15:46" to seconds. */
static bool take_time(const char **p, const char *end, int64_t *seconds)
{
    int hour = take(p, end, 2);
    bool colons = take_char(p, end, ':');
    int minute = take(p, end, 2);
    colons = take_char(p, end, ':') && colons;
    int second = take(p, end, 2);
    if (!colons || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    *seconds = (hour * 60 + minute) * 60 + second;
    return true;
}

/* ".6805900" or nothing, to ns. */
static bool take_fraction(const char **p, const char *end, int64_t *ns)
{
    *ns = 0;
    if (!take_char(p, end, '.'))
        return true;
    int digits = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, digits++) {
        if (digits == 9)
            return false;
        *ns = *ns * 10 + (**p - '0');
    }
    for (int i = digits; i < 9; i++)
        *ns *= 10;
    return digits > 0;
}

/* "Z", "+05:30" or nothing, to the seconds that local time is ahead of UTC. */
static bool take_zone(const char **p, const char *end, int64_t *ahead)
{
    *ahead = 0;
    if (*p == end || take_char(p, end, 'Z'))
        return true;
    int sign = take_char(p, end, '-') ? -1 : 1;
    if (sign > 0 && !take_char(p, end, '+'))
        return false;
    int hours = take(p, end, 2);
    bool colon = take_char(p, end, ':');
    int minutes = take(p, end, 2);
    if (!colon || hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ahead = (int64_t)sign * (hours * 60 + minutes) * 60;
    return true;
}

bool rt_stamp_parse(const char *text, size_t len, int64_t *out_ns)
{
    const char *p = text, *end = text + len;
    int64_t date, time, fraction_ns, ahead;
    if (!take_date(&p, end, &date))
        return false;
    if (!take_char(&p, end, ' ') && !take_char(&p, end, 'T'))
        return false;
    if (!take_time(&p, end, &time) || !take_fraction(&p, end, &fraction_ns) ||
        !take_zone(&p, end, &ahead) || p != end)
        return false;
    int64_t seconds = date + time - ahead;
    if (seconds < 0)
        return false;
    *out_ns = seconds * NS_PER_S + fraction_ns;
    return true;
}
