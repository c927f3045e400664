// tlsagent-load compare A.json B.json: what changed, and is it more than noise?
#ifndef TLSAGENT_CLIENT_LOAD_COMPARE_H_
#define TLSAGENT_CLIENT_LOAD_COMPARE_H_

#include <stdbool.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

// compare_files reads two reports and writes what has changed from the first to the second. False,
// with a sentence on error, when one can't be read or is no report.
bool compare_files(const char *a, const char *b, FILE *out, FILE *error);

// compare_main is the subcommand, given what follows its name: 0 good, 1 a file, 2 usage.
int compare_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_COMPARE_H_
