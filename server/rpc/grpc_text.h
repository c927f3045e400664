// What gRPC writes in headers: paths, timeouts, types and messages. Pure functions on text; they
// know no HTTP/2.
#ifndef TLSAGENT_SERVER_RPC_GRPC_TEXT_H_
#define TLSAGENT_SERVER_RPC_GRPC_TEXT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

// grpc_path_parse cuts "/package.Service/Method" in two. False when it is no such path.
bool grpc_path_parse(struct slice path, struct slice *out_service, struct slice *out_method);

// grpc_timeout_parse reads "250m": one to eight digits and one of the units H, M, S, m, u, n. Gives
// nanoseconds, INT64_MAX at most. False when it is no timeout.
bool grpc_timeout_parse(struct slice text, int64_t *out_nano);

// grpc_type_is_ours tells whether a content-type is gRPC with protobuf: application/grpc, or
// application/grpc+proto, with or without parameters.
bool grpc_type_is_ours(struct slice type);

// grpc_percent_encode writes a text as a grpc-message, with its NUL: three bytes for each byte that
// isn't printable ASCII, or is '%'. Returns its length. out must have room for
// 3 * strlen(text) + 1.
size_t grpc_percent_encode(char *out, const char *text);

// grpc_base64 writes bytes as the value of a binary header, unpadded and without a NUL, and returns
// how many characters that took: GRPC_BASE64_LEN(data.len).
size_t grpc_base64(char *out, struct slice data);

#define GRPC_BASE64_LEN(n) (((n)*4 + 2) / 3)

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_GRPC_TEXT_H_
