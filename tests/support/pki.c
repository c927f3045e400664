#include "tests/support/pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(cond)                                                      \
  do {                                                                  \
    if (!(cond)) {                                                      \
      fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #cond); \
      abort();                                                          \
    }                                                                   \
  } while (0)

enum { SECONDS_PER_DAY = 86400 };

static EVP_PKEY *make_key(enum pki_key type) {
  switch (type) {
    case PKI_RSA:
      return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    case PKI_ED25519:
      return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case PKI_EC:
      break;
  }
  return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value) {
  if (value == NULL) {
    return;
  }
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  MUST(extension != NULL && X509_add_ext(certificate, extension, -1));
  X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *certificate, X509 *issuer, const struct pki_request *request) {
  extend(certificate, issuer, NID_basic_constraints,
         request->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(certificate, issuer, NID_key_usage,
         request->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  extend(certificate, issuer, NID_subject_key_identifier, "hash");
  extend(certificate, issuer, NID_authority_key_identifier,
         request->issuer == NULL ? NULL : "keyid:always");
  extend(certificate, issuer, NID_subject_alt_name, request->alt_names);
  extend(certificate, issuer, NID_ext_key_usage, request->extended_key_usage);
}

static void set_serial(X509 *certificate) {
  uint64_t serial = 0;
  MUST(RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1);
  MUST(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1));
}

static void set_validity(X509 *certificate, const struct pki_request *request) {
  int from = request->from_days == 0 ? -1 : request->from_days;
  int to = request->to_days == 0 ? 30 : request->to_days;
  MUST(X509_time_adj_ex(X509_getm_notBefore(certificate), from, 0, NULL) != NULL);
  MUST(X509_time_adj_ex(X509_getm_notAfter(certificate), to, 0, NULL) != NULL);
}

static X509 *make_certificate(const struct pki_request *request, EVP_PKEY *key) {
  const struct pki_identity *issuer = request->issuer;
  X509 *certificate = X509_new();
  MUST(certificate != NULL && X509_set_version(certificate, X509_VERSION_3));
  set_serial(certificate);
  set_validity(certificate, request);
  X509_NAME *name = X509_get_subject_name(certificate);
  MUST(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"tlsagent tests",
                                  -1, -1, 0));
  MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)request->name,
                                  -1, -1, 0));
  X509 *signer = issuer == NULL ? certificate : issuer->certificate;
  EVP_PKEY *signing_key = issuer == NULL ? key : issuer->key;
  MUST(X509_set_issuer_name(certificate, X509_get_subject_name(signer)));
  MUST(X509_set_pubkey(certificate, key));
  add_extensions(certificate, signer, request);
  const EVP_MD *digest = EVP_PKEY_is_a(signing_key, "ED25519") ? NULL : EVP_sha256();
  MUST(X509_sign(certificate, signing_key, digest) > 0);
  return certificate;
}

// ---------------------------------------------------------------------------------------------

static char *taken(BIO *bio) {
  char *data = NULL;
  long len = BIO_get_mem_data(bio, &data);
  char *text = malloc((size_t)len + 1);
  MUST(text != NULL);
  memcpy(text, data, (size_t)len);
  text[len] = '\0';
  BIO_free(bio);
  return text;
}

static char *certificate_pem(X509 *certificate) {
  BIO *bio = BIO_new(BIO_s_mem());
  MUST(bio != NULL && PEM_write_bio_X509(bio, certificate));
  return taken(bio);
}

static char *key_pem(EVP_PKEY *key) {
  BIO *bio = BIO_new(BIO_s_mem());
  MUST(bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
  return taken(bio);
}

// An issuer that is signed by itself is the root, and isn't sent.
static char *chain_pem(const char *pem, const struct pki_identity *issuer) {
  bool sent = issuer != NULL && X509_NAME_cmp(X509_get_subject_name(issuer->certificate),
                                              X509_get_issuer_name(issuer->certificate)) != 0;
  char *chain = NULL;
  MUST(asprintf(&chain, "%s%s", pem, sent ? issuer->chain_pem : "") >= 0);
  return chain;
}

static struct slice certificate_der(X509 *certificate) {
  unsigned char *der = NULL;
  int len = i2d_X509(certificate, &der);
  MUST(len > 0);
  return slice_of(der, (size_t)len);
}

static struct slice pkcs8_der(EVP_PKEY *key) {
  PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
  unsigned char *der = NULL;
  int len = info == NULL ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);
  MUST(len > 0);
  PKCS8_PRIV_KEY_INFO_free(info);
  return slice_of(der, (size_t)len);
}

struct pki_identity *pki_issue(const struct pki_request *request) {
  struct pki_identity *identity = calloc(1, sizeof(*identity));
  MUST(identity != NULL);
  identity->key = make_key(request->key);
  MUST(identity->key != NULL);
  identity->certificate = make_certificate(request, identity->key);
  identity->der = certificate_der(identity->certificate);
  identity->key_der = pkcs8_der(identity->key);
  identity->pem = certificate_pem(identity->certificate);
  identity->chain_pem = chain_pem(identity->pem, request->issuer);
  identity->key_pem = key_pem(identity->key);
  return identity;
}

void pki_free(struct pki_identity *identity) {
  if (identity == NULL) {
    return;
  }
  OPENSSL_free((void *)identity->der.data);
  OPENSSL_free((void *)identity->key_der.data);
  X509_free(identity->certificate);
  EVP_PKEY_free(identity->key);
  free(identity->pem);
  free(identity->chain_pem);
  free(identity->key_pem);
  free(identity);
}

// ---------------------------------------------------------------------------------------------

static void revoke(X509_CRL *crl, const struct pki_identity *revoked, const ASN1_TIME *when) {
  X509_REVOKED *entry = X509_REVOKED_new();
  MUST(entry != NULL &&
       X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->certificate)) &&
       X509_REVOKED_set_revocationDate(entry, (ASN1_TIME *)when) &&
       X509_CRL_add0_revoked(crl, entry));
}

char *pki_crl(const struct pki_identity *issuer, const struct pki_identity *revoked) {
  X509_CRL *crl = X509_CRL_new();
  ASN1_TIME *last = X509_gmtime_adj(NULL, -SECONDS_PER_DAY);
  ASN1_TIME *next = X509_gmtime_adj(NULL, SECONDS_PER_DAY);
  MUST(crl != NULL && last != NULL && next != NULL &&
       X509_CRL_set_version(crl, X509_CRL_VERSION_2));
  MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->certificate)));
  MUST(X509_CRL_set1_lastUpdate(crl, last) && X509_CRL_set1_nextUpdate(crl, next));
  if (revoked != NULL) {
    revoke(crl, revoked, last);
  }
  MUST(X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
  BIO *bio = BIO_new(BIO_s_mem());
  MUST(bio != NULL && PEM_write_bio_X509_CRL(bio, crl));
  X509_CRL_free(crl);
  ASN1_TIME_free(last);
  ASN1_TIME_free(next);
  return taken(bio);
}

char *pki_encrypted_key(const struct pki_identity *identity, const char *password,
                        bool traditional) {
  BIO *bio = BIO_new(BIO_s_mem());
  int len = (int)strlen(password);
  MUST(bio != NULL);
  if (traditional) {
    MUST(PEM_write_bio_PrivateKey_traditional(bio, identity->key, EVP_aes_128_cbc(),
                                              (const unsigned char *)password, len, NULL, NULL));
  } else {
    MUST(PEM_write_bio_PKCS8PrivateKey(bio, identity->key, EVP_aes_128_cbc(), password, len, NULL,
                                       NULL));
  }
  return taken(bio);
}

// ---------------------------------------------------------------------------------------------

#define HOST "DNS:host.test,IP:127.0.0.1,IP:::1"

static struct pki *made;

static struct pki_identity *issue_host(enum pki_key key, const struct pki_identity *issuer,
                                       int from_days, int to_days) {
  const struct pki_request request = {.name = "host.test",
                                      .key = key,
                                      .issuer = issuer,
                                      .alt_names = HOST,
                                      .extended_key_usage = "serverAuth",
                                      .from_days = from_days,
                                      .to_days = to_days};
  return pki_issue(&request);
}

static void make_authorities(struct pki *pki) {
  const struct pki_request root = {.name = "Test Root", .ca = true};
  const struct pki_request other = {.name = "Other Root", .ca = true};
  pki->root = pki_issue(&root);
  pki->other_root = pki_issue(&other);
  const struct pki_request intermediate = {
      .name = "Test Intermediate", .ca = true, .issuer = pki->root};
  pki->intermediate = pki_issue(&intermediate);
}

static void make_others(struct pki *pki) {
  const struct pki_request client = {
      .name = "client", .issuer = pki->intermediate, .extended_key_usage = "clientAuth"};
  const struct pki_request wrong_host = {.name = "other.test",
                                         .issuer = pki->intermediate,
                                         .alt_names = "DNS:other.test",
                                         .extended_key_usage = "serverAuth"};
  pki->client = pki_issue(&client);
  pki->wrong_host = pki_issue(&wrong_host);
}

static void make(void) {
  struct pki *pki = calloc(1, sizeof(*pki));
  MUST(pki != NULL);
  make_authorities(pki);
  pki->server = issue_host(PKI_EC, pki->intermediate, 0, 0);
  pki->server_rsa = issue_host(PKI_RSA, pki->intermediate, 0, 0);
  pki->expired = issue_host(PKI_EC, pki->intermediate, -30, -7);
  pki->self_signed = issue_host(PKI_EC, NULL, 0, 0);
  make_others(pki);
  made = pki;
}

const struct pki *pki_get(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make);
  return made;
}
