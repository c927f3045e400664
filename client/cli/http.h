// As much HTTP/1.1 (RFC 9112) as it takes to get a page and to give one.
#ifndef TLSAGENT_CLIENT_CLI_HTTP_H_
#define TLSAGENT_CLIENT_CLI_HTTP_H_

#include "client/cli/channel.h"

// http_get asks for path at host and writes the body, and with include the headers before it, to
// standard output. It tells a body that ends too early from a whole one.
int http_get(struct channel *channel, const char *host, const char *path, bool include);

// struct http_page is an answer.
struct http_page {
  const char *type;  // "text/plain"
  const void *data;
  size_t len;
};

// http_answer reads a request's head and answers it with page, whatever it asks for.
bool http_answer(struct channel *channel, const struct http_page *page,
                 struct tlsagent_error *error);

#endif  // TLSAGENT_CLIENT_CLI_HTTP_H_
