/* Prices of a GPU record: ranges, and where they were seen. */
#include "catalog_internal.h"

const char *const rt_pricing_names[RT_PRICING_COUNT] = {"on_demand", "spot", "reserved"};

/* By enum rt_pricing: key of the price and of its range. */
static const struct {
    const char *price, *range;
} price_keys[RT_PRICING_COUNT] = {
    {"price_usd_per_h", "price_range_usd_per_h"},
    {"spot_price_usd_per_h", "spot_price_range_usd_per_h"},
    {"reserved_price_usd_per_h", "reserved_price_range_usd_per_h"},
};

/* [low, high], seen in the same places as the price. A price without a range drops that of its
 * base. */
static bool read_price_range(const struct rt_json_at *at, enum rt_pricing kind,
                             struct rt_price *price, struct rt_err *err)
{
    struct rt_json_at range = rt_json_get(at, price_keys[kind].range);
    struct rt_json_at own = rt_json_get(at, price_keys[kind].price);
    double ends[2] = {0, 0};

    if (rt_json_kind(&range) == RT_JSON_ABSENT) {
        if (rt_json_kind(&own) != RT_JSON_ABSENT)
            price->low = price->high = 0;
        return true;
    }
    if (!rt_json_expect(&range, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(&range) != 2)
        return rt_json_fail(&range, err, "expected [low, high], read %d elements",
                            rt_json_count(&range));
    for (int i = 0; i < 2; i++) {
        struct rt_json_at end = rt_json_item(&range, i);
        if (!rt_record_item_number(&end, &ends[i], err))
            return false;
        if (!(ends[i] >= 0 && ends[i] <= 1e6))
            return rt_json_fail(&end, err, "expected a number from 0 to 1000000, read %g", ends[i]);
    }
    price->low = ends[0];
    price->high = ends[1];
    return ends[0] <= ends[1] ||
           rt_json_fail(&range, err, "expected [low, high], read [%g, %g]", ends[0], ends[1]);
}

bool rt_price_ranges_read(const struct rt_json_at *at, struct rt_price price[RT_PRICING_COUNT],
                          struct rt_err *err)
{
    for (unsigned i = 0; i < RT_PRICING_COUNT; i++)
        if (!read_price_range(at, (enum rt_pricing)i, &price[i], err))
            return false;
    return true;
}

/* Does the text hold a year of this century? A price without a date is worth nothing. */
static bool has_date(const char *text)
{
    for (; *text != '\0'; text++)
        if (text[0] == '2' && text[1] == '0' && text[2] >= '0' && text[2] <= '9' &&
            text[3] >= '0' && text[3] <= '9')
            return true;
    return false;
}

static bool need_price_source(const struct rt_json_at *at, const char *key, struct rt_err *err)
{
    struct rt_json_at sources = rt_json_get(at, "sources"), price = rt_json_get(at, key);
    struct rt_json_at entry = rt_json_get(&sources, key);
    const char *text = "";

    if (rt_json_kind(&price) == RT_JSON_ABSENT)
        return true;
    if (!rt_record_need_source(at, key, err) || !rt_json_string(&sources, key, &text, err))
        return false;
    return has_date(text) ||
           rt_json_fail(&entry, err, "expected the date of the price, read \"%.80s\"", text);
}

bool rt_price_sources_check(const struct rt_json_at *at, struct rt_err *err)
{
    for (unsigned i = 0; i < RT_PRICING_COUNT; i++)
        if (!need_price_source(at, price_keys[i].price, err))
            return false;
    return true;
}
