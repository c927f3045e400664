// Durations, byte counts and rates, as people write and read them.
#ifndef TLSAGENT_CLIENT_LOAD_UNITS_H_
#define TLSAGENT_CLIENT_LOAD_UNITS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// units_duration reads "10s", "500ms", "1.5m", "2h", "20us"; a number alone is seconds. False when
// it is no duration, or more than a year.
bool units_duration(const char *text, uint64_t *out_nanos);
// units_bytes reads "100", "16K", "1.5M", "2G", in powers of 1024.
bool units_bytes(const char *text, uint64_t *out);
// units_number reads a number from least to most, with nothing behind it.
bool units_number(const char *text, double least, double most, double *out);
bool units_count(const char *text, uint64_t least, uint64_t most, uint64_t *out);

// Text for people: "1.23 ms", "4.5 MiB", "12.3k". The text is out.
enum { UNITS_TEXT_MAX = 32 };
const char *units_show_nanos(double nanos, char out[UNITS_TEXT_MAX]);
const char *units_show_bytes(double bytes, char out[UNITS_TEXT_MAX]);
const char *units_show_number(double number, char out[UNITS_TEXT_MAX]);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_UNITS_H_
