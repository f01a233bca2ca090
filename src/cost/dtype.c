/* Names and sizes of the formats of numbers. O(1). */
#include "rooftrace/dtype.h"

const char *const rt_dtype_names[RT_DTYPE_COUNT] = {"fp16", "bf16", "fp8",  "int8",
                                                    "int4", "fp4",  "mxfp4"};

double rt_dtype_bytes(enum rt_dtype d)
{
    static const double bytes[RT_DTYPE_COUNT] = {2, 2, 1, 1, 0.5, 0.5, 0.5 + 1.0 / 32};

    return bytes[d];
}
