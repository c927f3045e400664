// What is installed, or built, beside this program.
#ifndef TLSAGENT_CLIENT_CLI_BESIDE_H_
#define TLSAGENT_CLIENT_CLI_BESIDE_H_

#include <limits.h>
#include <stdbool.h>

// find_beside stores the path of what is at name, from the folder of this program; false when
// nothing is there.
bool find_beside(const char *name, char out[PATH_MAX]);

#endif  // TLSAGENT_CLIENT_CLI_BESIDE_H_
