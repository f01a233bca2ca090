/* support/sha256.h: SHA-256 of a text (FIPS 180-4), to compare with digests in reference files. */
#ifndef RT_TEST_SHA256_H
#define RT_TEST_SHA256_H

#include <stddef.h>

/* 64 hexadecimal digits and a NUL. */
void sha256_hex(const void *data, size_t len, char out[65]);

#endif
