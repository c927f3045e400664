// The pipe between OpenSSL and us: a BIO that reads from bytes the caller lends and writes to a
// bounded queue. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_BIO_H_
#define TLSAGENT_SERVER_TLS_BIO_H_

#include <openssl/bio.h>
#include <stdbool.h>

#include "server/base/bytes.h"
#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

// Both ends as we see them. It must outlive the BIO and stay where it is.
struct pipe {
  struct slice input;    // lent; shrinks at its front as OpenSSL reads
  bool eof;              // nothing comes after input
  struct bytes *output;  // where what OpenSSL writes goes, up to its ceiling
};

// pipe_bio_new returns a BIO on pipe, or NULL without memory. Reading an empty input asks to retry,
// or, after eof, is the end; writing to a full output asks to retry. OpenSSL reads no more than the
// record it is at: five bytes of header, then the body.
BIO *pipe_bio_new(struct pipe *pipe);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_BIO_H_
