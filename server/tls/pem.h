// What is in the bytes that people call "PEM or DER". Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_PEM_H_
#define TLSAGENT_SERVER_TLS_PEM_H_

#include <openssl/bio.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

// One block of PEM, decoded. All of it is in the secure heap when it was read so.
struct pem_block {
  char *name;    // "CERTIFICATE"
  char *header;  // "Proc-Type: 4,ENCRYPTED…" or ""
  unsigned char *data;
  long len;
  bool secure;
};

enum pem_result {
  PEM_BLOCK,
  PEM_END,     // no further block
  PEM_DAMAGED  // OpenSSL's queue says why
};

// pem_looks_like tells whether data is PEM rather than DER.
bool pem_looks_like(struct slice data);

// pem_open makes a reader of data, which must outlive it; NULL without memory. BIO_free it.
BIO *pem_open(struct slice data);

// pem_next reads the next block; text between blocks is skipped. secure is for keys.
// pem_block_cleanup it, whatever came out.
enum pem_result pem_next(BIO *reader, bool secure, struct pem_block *out);

// pem_block_cleanup wipes and frees what is in a block.
void pem_block_cleanup(struct pem_block *block);

// One thing out of a file of certificates: an X509 or an X509_CRL, the other is NULL.
struct pem_object {
  X509 *certificate;
  X509_CRL *crl;
};

static inline bool pem_object_is_nothing(struct pem_object object) {
  return object.certificate == NULL && object.crl == NULL;
}

enum pem_want { PEM_WANT_CERTIFICATES = 1, PEM_WANT_CRLS = 2 };

// pem_wants tells whether the block is, by its name, of a kind in want.
bool pem_wants(const struct pem_block *block, unsigned want);

// pem_decode gives what is in a block of a kind in want; both NULL when it is none or can't be
// read.
struct pem_object pem_decode(const struct pem_block *block, unsigned want);

// pem_object_free drops the reference of what an object has.
void pem_object_free(struct pem_object object);

// pem_settle makes OpenSSL work out now what it keeps of a certificate's extensions at first use
// (X509_check_purpose(3)), so that threads which share the object only read it.
void pem_settle(struct pem_object object);

// What pem_each calls for every object found; it takes ownership. False stops the reading.
typedef bool pem_object_taker(void *state, struct pem_object object);

enum pem_each_result {
  PEM_EACH_DONE,
  PEM_EACH_STOPPED,  // by the taker
  PEM_EACH_DAMAGED   // OpenSSL's queue says why
};

// pem_each gives every certificate and list in data that is wanted: of PEM all blocks of these
// kinds, other blocks are skipped; of DER one after the other to the last byte, certificates if
// these are wanted, else lists. What begins as neither has nothing in it.
enum pem_each_result pem_each(struct slice data, unsigned want, pem_object_taker *take,
                              void *state);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_PEM_H_
