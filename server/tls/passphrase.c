#include "server/tls/passphrase.h"

#include <openssl/objects.h>

// A number that isn't there or makes no sense counts as too much.
static uint64_t number_in(const ASN1_INTEGER *integer) {
  uint64_t number = UINT64_MAX;
  return integer != NULL && ASN1_INTEGER_get_uint64(&number, integer) == 1 ? number : UINT64_MAX;
}

static bool is_bearable_scrypt(const X509_ALGOR *function) {
  SCRYPT_PARAMS *params =
      ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(SCRYPT_PARAMS), function->parameter);
  if (params == NULL) {
    return true;
  }
  uint64_t cost = number_in(params->costParameter);
  uint64_t block = number_in(params->blockSize);
  uint64_t parallel = number_in(params->parallelizationParameter);
  const uint64_t max = PASSPHRASE_SCRYPT_MAX;
  SCRYPT_PARAMS_free(params);
  return cost <= max && block <= max && parallel <= max && cost * block <= max &&
         cost * block * parallel <= max;
}

static bool is_bearable_pbkdf2(const X509_ALGOR *function) {
  PBKDF2PARAM *params = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM), function->parameter);
  bool bearable = params == NULL || number_in(params->iter) <= PASSPHRASE_ITERATIONS_MAX;
  PBKDF2PARAM_free(params);
  return bearable;
}

static bool is_bearable_pbes2(const X509_ALGOR *algorithm) {
  PBE2PARAM *params = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), algorithm->parameter);
  if (params == NULL) {
    return true;
  }
  int function = OBJ_obj2nid(params->keyfunc->algorithm);
  bool bearable = function == NID_id_scrypt ? is_bearable_scrypt(params->keyfunc)
                                            : is_bearable_pbkdf2(params->keyfunc);
  PBE2PARAM_free(params);
  return bearable;
}

// PKCS #5 version 1.5 and PKCS #12.
static bool is_bearable_pbes1(const X509_ALGOR *algorithm) {
  PBEPARAM *params = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM), algorithm->parameter);
  bool bearable = params == NULL || number_in(params->iter) <= PASSPHRASE_ITERATIONS_MAX;
  PBEPARAM_free(params);
  return bearable;
}

bool passphrase_is_bearable(const X509_SIG *sealed) {
  const X509_ALGOR *algorithm = NULL;
  X509_SIG_get0(sealed, &algorithm, NULL);
  return OBJ_obj2nid(algorithm->algorithm) == NID_pbes2 ? is_bearable_pbes2(algorithm)
                                                        : is_bearable_pbes1(algorithm);
}
