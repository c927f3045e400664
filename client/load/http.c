#include "client/load/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void http_start(struct http_response *response) {
  response->stage = HTTP_STATUS;
  response->status = 0;
  response->keeps_alive = true;
  response->is_chunked = false;
  response->has_length = false;
  response->left = 0;
  response->header_bytes = 0;
  response->line_len = 0;
}

// ---------------------------------------------------------------------------------------------
// Lines

static bool is_status_line(struct http_response *response) {
  const char *line = response->line;
  bool is_http = strncmp(line, "HTTP/1.", 7) == 0 && (line[7] == '0' || line[7] == '1');
  if (!is_http || line[8] != ' ' || strspn(line + 9, "0123456789") != 3) {
    return false;
  }
  response->keeps_alive = line[7] == '1';
  response->status = (unsigned)strtoul(line + 9, NULL, 10);
  return true;
}

static const char *value_of(const char *line, const char *name) {
  size_t len = strlen(name);
  if (strncasecmp(line, name, len) != 0 || line[len] != ':') {
    return NULL;
  }
  return line + len + 1 + strspn(line + len + 1, " \t");
}

static bool read_size(const char *text, int base, uint64_t *out) {
  char *end = NULL;
  errno = 0;
  *out = strtoull(text, &end, base);
  bool begins_well =
      base == 16 ? strspn(text, "0123456789abcdefABCDEF") > 0 : text[0] >= '0' && text[0] <= '9';
  return begins_well && errno == 0 && *out <= INT64_MAX;
}

static bool take_header(struct http_response *response) {
  const char *value = value_of(response->line, "content-length");
  if (value != NULL) {
    response->has_length = true;
    return read_size(value, 10, &response->left);
  }
  value = value_of(response->line, "transfer-encoding");
  if (value != NULL && strcasestr(value, "chunked") != NULL) {
    response->is_chunked = true;
  }
  value = value_of(response->line, "connection");
  if (value != NULL) {
    response->keeps_alive = strcasestr(value, "close") == NULL &&
                            (response->keeps_alive || strcasestr(value, "keep-alive") != NULL);
  }
  return true;
}

static enum http_stage after_headers(struct http_response *response) {
  if (response->status / 100 == 1) {  // an interim response: the real one follows
    http_start(response);
    return HTTP_STATUS;
  }
  if (response->status == 204 || response->status == 304) {
    return HTTP_COMPLETE;
  }
  if (response->is_chunked) {
    return HTTP_CHUNK_SIZE;
  }
  if (response->has_length) {
    return response->left == 0 ? HTTP_COMPLETE : HTTP_BODY;
  }
  response->keeps_alive = false;
  return HTTP_TO_END;
}

static enum http_stage take_chunk_size(struct http_response *response) {
  if (!read_size(response->line, 16, &response->left)) {
    return HTTP_BROKEN;
  }
  return response->left == 0 ? HTTP_TRAILERS : HTTP_CHUNK;
}

// The stage after a whole line.
static enum http_stage take_line(struct http_response *response) {
  bool is_empty = response->line[0] == '\0';
  switch (response->stage) {
    case HTTP_STATUS:
      return is_status_line(response) ? HTTP_HEADERS : HTTP_BROKEN;
    case HTTP_HEADERS:
      if (is_empty) {
        return after_headers(response);
      }
      return take_header(response) ? HTTP_HEADERS : HTTP_BROKEN;
    case HTTP_CHUNK_SIZE:
      return take_chunk_size(response);
    case HTTP_CHUNK_END:
      return is_empty ? HTTP_CHUNK_SIZE : HTTP_BROKEN;
    case HTTP_TRAILERS:
      return is_empty ? HTTP_COMPLETE : HTTP_TRAILERS;
    default:
      return HTTP_BROKEN;
  }
}

static void end_line(struct http_response *response) {
  unsigned len = response->line_len;
  len -= len > 0 && response->line[len - 1] == '\r';
  response->line[len] = '\0';
  response->line_len = 0;
  response->stage = take_line(response);
}

static void take_line_bytes(struct http_response *response, struct slice *data) {
  const uint8_t *end = memchr(data->data, '\n', data->len);
  size_t n = end == NULL ? data->len : (size_t)(end - data->data);
  size_t room = sizeof(response->line) - 1 - response->line_len;
  size_t kept = n < room ? n : room;
  memcpy(response->line + response->line_len, data->data, kept);
  response->line_len += (unsigned)kept;
  response->header_bytes += (uint32_t)n;
  *data = slice_after(*data, end == NULL ? n : n + 1);
  if (response->header_bytes > HTTP_HEADER_MAX) {
    response->stage = HTTP_BROKEN;
  } else if (end != NULL) {
    end_line(response);
  }
}

// ---------------------------------------------------------------------------------------------
// Bodies

static void take_body(struct http_response *response, struct slice *data) {
  uint64_t n = data->len < response->left ? data->len : response->left;
  *data = slice_after(*data, (size_t)n);
  response->left -= n;
  if (response->left == 0) {
    response->stage = response->stage == HTTP_BODY ? HTTP_COMPLETE : HTTP_CHUNK_END;
    response->header_bytes = 0;
  }
}

void http_take(struct http_response *response, struct slice data) {
  while (data.len > 0) {
    switch (response->stage) {
      case HTTP_BODY:
      case HTTP_CHUNK:
        take_body(response, &data);
        break;
      case HTTP_TO_END:
      case HTTP_BROKEN:
        return;
      case HTTP_COMPLETE:
        response->stage = HTTP_BROKEN;
        return;
      default:
        take_line_bytes(response, &data);
        break;
    }
  }
}

bool http_end(struct http_response *response) {
  if (response->stage == HTTP_TO_END) {
    response->stage = HTTP_COMPLETE;
  }
  return response->stage == HTTP_COMPLETE;
}
