/* base/name.h: room for a name that a record carries in itself: of a GPU, a model, a pool, a class;
 * with its final 0. A longer one that a user writes is an error; one that is put together, or comes
 * from a model's file, is cut. */
#ifndef RT_NAME_H
#define RT_NAME_H

#define RT_NAME_SIZE 64

#endif
