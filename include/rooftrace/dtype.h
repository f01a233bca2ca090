/* cost/dtype.h: formats of numbers: of weights, activations and KV, and of what a GPU multiplies.
 */
#ifndef RT_DTYPE_H
#define RT_DTYPE_H

/* mxfp4: with its scales, a byte for 32 numbers */
enum rt_dtype { RT_FP16, RT_BF16, RT_FP8, RT_INT8, RT_INT4, RT_FP4, RT_MXFP4, RT_DTYPE_COUNT };
extern const char *const rt_dtype_names[RT_DTYPE_COUNT];
double rt_dtype_bytes(enum rt_dtype d); /* 2, 2, 1, 1, 0.5, 0.5, 0.53125 */

#endif
