// What the headers of a request say, and whether its message is welcome.
#include <string.h>

#include "server/rpc/grpc_priv.h"
#include "server/rpc/grpc_text.h"

// ---------------------------------------------------------------------------------------------
// One field at a time

static size_t keep(char *out, size_t size, struct slice value) {
  size_t len = value.len < size ? value.len : size;
  if (len > 0) {
    memcpy(out, value.data, len);
  }
  return len;
}

static void take_method(struct grpc_headers *headers, struct slice value) {
  headers->is_post = slice_equal(value, slice_of_string("POST"));
}

// One that was cut is nobody's: no method has a name so long.
static void take_path(struct grpc_headers *headers, struct slice value) {
  headers->path_len = keep(headers->path, sizeof(headers->path), value);
}

static void take_type(struct grpc_headers *headers, struct slice value) {
  headers->is_grpc = grpc_type_is_ours(value);
}

// In an envelope 0 is no deadline, and one that has passed is negative.
static void take_timeout(struct grpc_headers *headers, struct slice value) {
  headers->bad_timeout = !grpc_timeout_parse(value, &headers->timeout_nano);
  if (headers->timeout_nano == 0) {
    headers->timeout_nano = -1;
  }
}

// The first one counts, and one that was cut is too long to be right.
static void take_token(struct grpc_headers *headers, struct slice value) {
  if (!headers->has_token) {
    headers->has_token = true;
    headers->token_len = keep(headers->token, sizeof(headers->token), value);
  }
}

#define FIELD(name, take) \
  { (name), sizeof(name) - 1, (take) }

static const struct {
  const char *name;
  size_t len;
  void (*take)(struct grpc_headers *headers, struct slice value);
} fields[] = {
    FIELD(":method", take_method),    FIELD(":path", take_path),
    FIELD("content-type", take_type), FIELD("grpc-timeout", take_timeout),
    FIELD(TOKEN_KEY, take_token),
};

static void take_field(struct grpc_headers *headers, struct slice name, struct slice value) {
  for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
    if (slice_equal(name, slice_of(fields[i].name, fields[i].len))) {
      fields[i].take(headers, value);
      return;
    }
  }
}

void grpc_headers_add(struct grpc_headers *headers, struct slice name, struct slice value) {
  headers->list_size += name.len + value.len + GRPC_FIELD_OVERHEAD;
  headers->too_large = headers->list_size > GRPC_HEADER_LIST_MAX;
  if (!headers->too_large) {
    take_field(headers, name, value);
  }
}

// ---------------------------------------------------------------------------------------------
// All of them

static status_t judge(const struct grpc_stream *stream, struct sentence *why) {
  const struct grpc_headers *headers = &stream->headers;
  TRY(admit_check_stage(stream->connection, why));
  if (headers->bad_timeout) {
    return refuse(why, STATUS_INVALID_ARGUMENT,
                  "grpc-timeout is not one to eight digits and a unit");
  }
  return OK_STATUS;
}

// An unknown method is refused when the call is to begin, as for ttrpc.
static void find_method(struct grpc_stream *stream) {
  const struct grpc_headers *headers = &stream->headers;
  const struct dispatch *dispatch = stream->connection->home->server->dispatch;
  stream->has_path =
      grpc_path_parse(slice_of(headers->path, headers->path_len), &stream->service, &stream->name);
  if (stream->has_path) {
    stream->method = dispatch_find(dispatch, stream->service, stream->name);
  }
}

static bool opens(const struct grpc_stream *stream) {
  return stream->method != NULL && stream->method->kind == METHOD_BOTH_SEND;
}

static void judge_call(struct grpc_stream *stream) {
  struct sentence why;
  status_t status = judge(stream, &why);
  find_method(stream);
  if (status_ok(status) && opens(stream)) {
    grpc_stream_open(stream);
    return;
  }
  if (status_ok(status)) {
    stream->stage = GRPC_MESSAGE;
    return;
  }
  grpc_stream_refuse(stream, status.code, &why);
  if (stream->connection->refused) {
    grpc_say_goodbye(stream->connection);
  }
}

static void refuse_large(struct grpc_stream *stream) {
  struct sentence why;
  counter_add(COUNTER_limits_hit, 1);
  status_t status = refuse(&why, STATUS_RESOURCE_EXHAUSTED,
                           "the metadata of a call is larger than %d bytes", GRPC_HEADER_LIST_MAX);
  grpc_stream_refuse(stream, status.code, &why);
}

// What isn't gRPC hears it in words of HTTP.
void grpc_headers_complete(struct grpc_stream *stream) {
  if (stream->headers.too_large) {
    refuse_large(stream);
  } else if (!stream->headers.is_post) {
    grpc_answer_http(stream, "405");
  } else if (!stream->headers.is_grpc) {
    grpc_answer_http(stream, "415");
  } else {
    judge_call(stream);
  }
}
