// Files that a person names on the command line.
#ifndef TLSAGENT_CLIENT_CLI_FILES_H_
#define TLSAGENT_CLIENT_CLI_FILES_H_

#include <stddef.h>

#include "client/cli/cli.h"

// struct file is a file's bytes, with a NUL after them. {0} is none.
struct file {
  char *data;
  size_t len;
};

// read_file reads all of path, or standard input for "-". It complains and returns the exit code
// when that fails, or when there are more than a request can carry.
int read_file(const struct cli *cli, const char *path, struct file *out);

// complain_file is complain_error for calls about files: that TLS fails means that a file isn't
// what it should be.
int complain_file(const struct cli *cli, const struct tlsagent_error *error);

// wipe_file frees a file's bytes and leaves none of them in memory.
void wipe_file(struct file *file);

#endif  // TLSAGENT_CLIENT_CLI_FILES_H_
