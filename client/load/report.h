// Reports of a result. Each returns false when it could not be written.
#ifndef TLSAGENT_CLIENT_LOAD_REPORT_H_
#define TLSAGENT_CLIENT_LOAD_REPORT_H_

#include <stdbool.h>
#include <stdio.h>

#include "client/load/result.h"

#ifdef __cplusplus
extern "C" {
#endif

void report_text(const struct result *result, FILE *out);
bool report_json(const struct result *result, FILE *out);
void report_csv(const struct result *result, FILE *out);
void report_html(const struct result *result, FILE *out);

// report_all writes what the options ask for, the text too unless quiet. False, and it has said
// why on standard error, when one could not be written.
bool report_all(const struct result *result);

// report_flush has standard output written. False, and it has said why on standard error, when all
// or part of it could not be.
bool report_flush(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_REPORT_H_
