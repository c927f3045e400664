// The contract as the daemon has it in itself: the descriptors of its .proto files, looked up by
// name. The bytes are our own build's, and trusted; the names are not.
#ifndef TLSAGENT_SERVER_SERVICE_CONTRACT_H_
#define TLSAGENT_SERVER_SERVICE_CONTRACT_H_

#include <stdbool.h>
#include <stddef.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONTRACT_FILES_MAX = 32 };

// Serialized google.protobuf.FileDescriptorProto, without end of the process.
struct contract_files {
  struct slice files[CONTRACT_FILES_MAX];
  size_t num;
};

// contract_find_file gives the file of that name, and contract_find_symbol the one with the
// message, enum, service or method of that full name; behind it all that it imports, each once.
// False when there is none.
bool contract_find_file(const char *name, struct contract_files *out);
bool contract_find_symbol(const char *symbol, struct contract_files *out);

// contract_has_message tells whether that full name is a message's.
bool contract_has_message(const char *symbol);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_CONTRACT_H_
