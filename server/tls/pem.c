#include "server/tls/pem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "server/tls/openssl_error.h"

bool pem_looks_like(struct slice data) {
  static const char begin[] = "-----BEGIN ";
  return data.len > 0 && memmem(data.data, data.len, begin, sizeof(begin) - 1) != NULL;
}

BIO *pem_open(struct slice data) {
  return data.len > INT_MAX
             ? NULL
             : BIO_new_mem_buf(data.len == 0 ? "" : (const void *)data.data, (int)data.len);
}

enum pem_result pem_next(BIO *reader, bool secure, struct pem_block *out) {
  *out = (struct pem_block){.secure = secure};
  unsigned flags = PEM_FLAG_EAY_COMPATIBLE | (secure ? PEM_FLAG_SECURE : 0);
  if (PEM_read_bio_ex(reader, &out->name, &out->header, &out->data, &out->len, flags) == 1) {
    return PEM_BLOCK;
  }
  return tls_queue_says(ERR_LIB_PEM, PEM_R_NO_START_LINE) ? PEM_END : PEM_DAMAGED;
}

static void give_back(void *data, size_t len, bool secure) {
  if (secure) {
    OPENSSL_secure_clear_free(data, len);
  } else {
    OPENSSL_clear_free(data, len);
  }
}

void pem_block_cleanup(struct pem_block *block) {
  give_back(block->name, block->name == NULL ? 0 : strlen(block->name), block->secure);
  give_back(block->header, block->header == NULL ? 0 : strlen(block->header), block->secure);
  give_back(block->data, (size_t)block->len, block->secure);
  *block = (struct pem_block){.secure = block->secure};
}

// ---------------------------------------------------------------------------------------------

static bool is_certificate(const char *name) {
  return strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0 ||
         strcmp(name, PEM_STRING_X509_TRUSTED) == 0;
}

// A "trusted certificate" has uses and a name appended; they are read and count.
static X509 *decode_certificate(const struct pem_block *block) {
  const unsigned char *from = block->data;
  bool with_trust = strcmp(block->name, PEM_STRING_X509_TRUSTED) == 0;
  return with_trust ? d2i_X509_AUX(NULL, &from, block->len) : d2i_X509(NULL, &from, block->len);
}

bool pem_wants(const struct pem_block *block, unsigned want) {
  return ((want & PEM_WANT_CERTIFICATES) != 0 && is_certificate(block->name)) ||
         ((want & PEM_WANT_CRLS) != 0 && strcmp(block->name, PEM_STRING_X509_CRL) == 0);
}

struct pem_object pem_decode(const struct pem_block *block, unsigned want) {
  struct pem_object object = {0};
  if (!pem_wants(block, want)) {
    return object;
  }
  if (is_certificate(block->name)) {
    object.certificate = decode_certificate(block);
  } else {
    const unsigned char *from = block->data;
    object.crl = d2i_X509_CRL(NULL, &from, block->len);
  }
  return object;
}

void pem_object_free(struct pem_object object) {
  X509_free(object.certificate);
  X509_CRL_free(object.crl);
}

// A certificate with extensions that make no sense stays one; its verification says so.
void pem_settle(struct pem_object object) {
  if (object.certificate != NULL) {
    ERR_set_mark();
    (void)X509_check_purpose(object.certificate, -1, 0);
    ERR_pop_to_mark();
  }
}

static enum pem_each_result give(struct pem_object object, pem_object_taker *take, void *state) {
  if (pem_object_is_nothing(object)) {
    return PEM_EACH_DAMAGED;
  }
  return take(state, object) ? PEM_EACH_DONE : PEM_EACH_STOPPED;
}

static enum pem_each_result give_block(const struct pem_block *block, unsigned want,
                                       pem_object_taker *take, void *state) {
  return pem_wants(block, want) ? give(pem_decode(block, want), take, state) : PEM_EACH_DONE;
}

// The bytes may hold a key beside the certificates: every block is read as if it were one.
static enum pem_each_result each_block(BIO *reader, unsigned want, pem_object_taker *take,
                                       void *state) {
  enum pem_each_result result = PEM_EACH_DONE;
  while (result == PEM_EACH_DONE) {
    struct pem_block block;
    enum pem_result read = pem_next(reader, false, &block);
    if (read == PEM_BLOCK) {
      result = give_block(&block, want, take, state);
    }
    pem_block_cleanup(&block);
    if (read == PEM_END) {
      return PEM_EACH_DONE;
    }
    if (read == PEM_DAMAGED) {
      return PEM_EACH_DAMAGED;
    }
  }
  return result;
}

// What d2i_X509_bio(3), which reads an element before it decodes it, says of bytes that can't be
// decoded is what users of OpenSSL know.
static void say_as_bio_would(const unsigned char *from, const unsigned char *end) {
  ERR_clear_error();
  BIO *reader = pem_open(slice_of(from, (size_t)(end - from)));
  X509_free(reader == NULL ? NULL : d2i_X509_bio(reader, NULL));
  BIO_free(reader);
}

static enum pem_each_result each_in_der(struct slice data, unsigned want, pem_object_taker *take,
                                        void *state) {
  const unsigned char *from = data.data;
  const unsigned char *end = from + data.len;
  enum pem_each_result result = PEM_EACH_DONE;
  while (from < end && result == PEM_EACH_DONE) {
    struct pem_object object = {0};
    const unsigned char *begin = from;
    if ((want & PEM_WANT_CERTIFICATES) != 0) {
      object.certificate = d2i_X509(NULL, &from, end - from);
      if (object.certificate == NULL) {
        say_as_bio_would(begin, end);
      }
    } else {
      object.crl = d2i_X509_CRL(NULL, &from, end - from);
    }
    result = give(object, take, state);
  }
  return result;
}

// All that we decode is a SEQUENCE; anything else is text without PEM in it.
static bool begins_der(struct slice data) {
  enum { SEQUENCE = 0x30 };
  return data.len > 0 && data.data[0] == SEQUENCE;
}

enum pem_each_result pem_each(struct slice data, unsigned want, pem_object_taker *take,
                              void *state) {
  ERR_clear_error();
  if (!pem_looks_like(data)) {
    return begins_der(data) ? each_in_der(data, want, take, state) : PEM_EACH_DONE;
  }
  BIO *reader = pem_open(data);
  if (reader == NULL) {
    return PEM_EACH_DAMAGED;
  }
  enum pem_each_result result = each_block(reader, want, take, state);
  BIO_free(reader);
  return result;
}
