#include "client/cli/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BUFFER = 64 * 1024, HEAD_MAX = 16 * 1024 };

// What was received and not looked at yet.
struct reader {
  struct channel *channel;
  struct tlsagent_error error;
  bool closed;  // by close_notify
  int code;     // EXIT_OK until something fails
  size_t start;
  size_t end;
  char data[BUFFER + 1];
};

// How the body is delimited.
struct head {
  bool chunked;
  bool has_length;
  uint64_t length;
  bool no_body;  // of a 204 or 304
};

// --- Receiving ---

static size_t available(const struct reader *reader) {
  return reader->end - reader->start;
}

// Receives more behind what is there. False at the end, and when the buffer is full.
static bool receive(struct reader *reader) {
  size_t len;
  if (reader->start != 0) {
    memmove(reader->data, reader->data + reader->start, available(reader));
    reader->end -= reader->start;
    reader->start = 0;
  }
  if (reader->end == BUFFER || reader->closed || reader->code != EXIT_OK) {
    return false;
  }
  const enum tlsagent_state state = channel_read(reader->channel, &len, reader->data + reader->end,
                                                 BUFFER - reader->end, &reader->error);
  reader->end += len;
  reader->data[reader->end] = '\0';
  reader->closed = state == TLSAGENT_STATE_CLOSED;
  if (state == TLSAGENT_STATE_FAILED) {
    reader->code = exit_code_of(&reader->error);
  }
  return state == TLSAGENT_STATE_DONE;
}

static int fail(const struct reader *reader, const char *what) {
  if (reader->code == EXIT_TRUNCATED) {
    return complain(reader->channel->cli, EXIT_TRUNCATED, "the connection was cut %s", what);
  }
  if (reader->code != EXIT_OK) {
    return complain_error(reader->channel->cli, &reader->error);
  }
  return complain(reader->channel->cli, reader->closed ? EXIT_TRUNCATED : EXIT_NETWORK,
                  reader->closed ? "the server ended %s" : "the answer isn't HTTP: %s", what);
}

// --- The head ---

// The length of the head with its empty line; 0 when it doesn't come.
static size_t receive_head(struct reader *reader) {
  for (;;) {
    const char *head = reader->data + reader->start;
    const char *end = memmem(head, available(reader), "\r\n\r\n", 4);
    if (end != NULL) {
      return (size_t)(end - head) + 4;
    }
    if (available(reader) > HEAD_MAX || !receive(reader)) {
      return 0;
    }
  }
}

static void parse_header(const char *line, size_t len, struct head *out) {
  static const char length[] = "content-length:";
  static const char coding[] = "transfer-encoding:";
  if (len > sizeof(length) && strncasecmp(line, length, sizeof(length) - 1) == 0) {
    out->has_length = true;
    out->length = strtoull(line + sizeof(length) - 1, NULL, 10);
  } else if (len > sizeof(coding) && strncasecmp(line, coding, sizeof(coding) - 1) == 0) {
    out->chunked = memmem(line, len, "chunked", 7) != NULL;
  }
}

// The status is 0 when this isn't HTTP.
static unsigned parse_head(const char *text, size_t len, struct head *out) {
  static const char start[] = "HTTP/1.1 ";
  char *after;
  if (len < sizeof(start) || strncmp(text, start, strlen("HTTP/1.")) != 0) {
    return 0;
  }
  const unsigned long status = strtoul(text + strlen(start), &after, 10);
  if (status < 100 || status > 999 || (*after != ' ' && *after != '\r')) {
    return 0;
  }
  const char *end = text + len;
  for (const char *line = text; line < end;) {
    const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
    parse_header(line, (size_t)(next - line), out);
    line = next + 2;
  }
  out->no_body = status == 204 || status == 304;
  return (unsigned)status;
}

// --- The body ---

static int write_out(const struct reader *reader, const char *data, size_t len) {
  if (fwrite(data, 1, len, stdout) == len) {
    return EXIT_OK;
  }
  // Who stops reading our output knows.
  return errno == EPIPE ? EXIT_IO
                        : complain(reader->channel->cli, EXIT_IO, "cannot write the page: %s",
                                   strerrordesc_np(errno));
}

static int copy_length(struct reader *reader, uint64_t length) {
  while (length != 0) {
    if (available(reader) == 0 && !receive(reader)) {
      return fail(reader, "in the middle of the page");
    }
    const size_t some = available(reader) < length ? available(reader) : (size_t)length;
    const int code = write_out(reader, reader->data + reader->start, some);
    if (code != EXIT_OK) {
      return code;
    }
    reader->start += some;
    length -= some;
  }
  return EXIT_OK;
}

static int copy_to_end(struct reader *reader) {
  int code = EXIT_OK;
  while (code == EXIT_OK && (available(reader) != 0 || receive(reader))) {
    code = write_out(reader, reader->data + reader->start, available(reader));
    reader->start = reader->end;
  }
  return code == EXIT_OK && !reader->closed ? fail(reader, "before its end was told") : code;
}

// Takes a line, without its end. NULL when it doesn't come.
static const char *take_line(struct reader *reader) {
  for (;;) {
    char *line = reader->data + reader->start;
    char *end = memmem(line, available(reader), "\r\n", 2);
    if (end != NULL) {
      *end = '\0';
      reader->start += (size_t)(end - line) + 2;
      return line;
    }
    if (!receive(reader)) {
      return NULL;
    }
  }
}

static int copy_chunks(struct reader *reader) {
  for (;;) {
    const char *line = take_line(reader);
    char *end = NULL;
    const uint64_t length = line == NULL ? 0 : strtoull(line, &end, 16);
    if (line == NULL || end == line) {
      return fail(reader, "in the middle of the page");
    }
    if (length == 0) {
      return EXIT_OK;  // trailers are nobody's business here
    }
    const int code = copy_length(reader, length);
    if (code != EXIT_OK) {
      return code;
    }
    if (take_line(reader) == NULL) {
      return fail(reader, "in the middle of the page");
    }
  }
}

static int copy_body(struct reader *reader, const struct head *head) {
  if (head->no_body) {
    return EXIT_OK;
  }
  if (head->chunked) {
    return copy_chunks(reader);
  }
  return head->has_length ? copy_length(reader, head->length) : copy_to_end(reader);
}

// --- Getting ---

static int receive_page(struct reader *reader, bool include) {
  struct head head = {0};
  unsigned status = 100;
  while (status >= 100 && status < 200) {  // interim answers come before the real one
    const size_t len = receive_head(reader);
    if (len == 0) {
      return fail(reader, "before it had answered");
    }
    head = (struct head){0};
    const char *text = reader->data + reader->start;
    status = parse_head(text, len, &head);
    if (status == 0) {
      return complain(reader->channel->cli, EXIT_NETWORK, "the answer isn't HTTP");
    }
    const int code = include ? write_out(reader, text, len) : EXIT_OK;
    if (code != EXIT_OK) {
      return code;
    }
    reader->start += len;
  }
  return copy_body(reader, &head);
}

int http_get(struct channel *channel, const char *host, const char *path, bool include) {
  char request[4096];
  struct tlsagent_error error;
  const int len = snprintf(request, sizeof(request),
                           "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tlsagent/" TLSAGENT_VERSION
                           "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                           path, host);
  if (path[0] != '/' || strpbrk(path, " \r\n") != NULL || len >= (int)sizeof(request)) {
    return complain(channel->cli, EXIT_USAGE,
                    "--get takes a path that begins with / and has no blanks");
  }
  if (!channel_write(channel, request, (size_t)len, &error)) {
    return complain_error(channel->cli, &error);
  }
  struct reader *reader = calloc(1, sizeof(*reader));
  if (reader == NULL) {
    return complain(channel->cli, EXIT_IO, "out of memory");
  }
  reader->channel = channel;
  const int code = receive_page(reader, include);
  free(reader);
  return code;
}

// --- Giving ---

bool http_answer(struct channel *channel, const struct http_page *page,
                 struct tlsagent_error *error) {
  char head[256];
  struct reader *reader = calloc(1, sizeof(*reader));
  if (reader == NULL) {
    *error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_MEMORY, .message = "out of memory"};
    return false;
  }
  reader->channel = channel;
  const size_t len = receive_head(reader);
  const bool is_head = strncmp(reader->data, "HEAD ", 5) == 0;
  const bool failed = reader->code != EXIT_OK;
  *error = reader->error;
  free(reader);
  if (len == 0) {
    return !failed;  // it came and went
  }
  const int written = snprintf(head, sizeof(head),
                               "HTTP/1.1 200 OK\r\nServer: tlsagent/" TLSAGENT_VERSION
                               "\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                               "Connection: close\r\n\r\n",
                               page->type, page->len);
  return channel_write(channel, head, (size_t)written, error) &&
         (is_head || channel_write(channel, page->data, page->len, error));
}
