#include "server/tls/names.h"

#include <openssl/objects.h>
#include <string.h>

// ---------------------------------------------------------------------------------------------
// Distinguished names.

static const char *short_name(struct decoding *to, const ASN1_OBJECT *object) {
  int nid = OBJ_obj2nid(object);
  const char *name = nid == NID_undef ? NULL : OBJ_nid2sn(nid);
  return name == NULL ? text_of_oid(to, object) : text_escaped(to, slice_of_string(name));
}

// A BIT STRING is bits and not text, whatever it looks like.
static void decode_value(struct decoding *to, const ASN1_STRING *value,
                         struct tls_name_attribute *out) {
  if (ASN1_STRING_type(value) != V_ASN1_BIT_STRING) {
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, value);
    out->text = len < 0 ? NULL : text_exact(to, slice_of(utf8, (size_t)len));
    OPENSSL_free(utf8);
  }
  if (out->text == NULL) {
    out->raw = bytes_copied(to, bytes_of(value));
  }
}

static struct tls_name_attribute decode_attribute(struct decoding *to,
                                                  const X509_NAME_ENTRY *entry) {
  const ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
  struct tls_name_attribute attribute = {.type = text_of_object(to, object),
                                         .short_type = short_name(to, object)};
  decode_value(to, X509_NAME_ENTRY_get_data(entry), &attribute);
  return attribute;
}

static int step_of(const X509_NAME *name, int at) {
  return X509_NAME_ENTRY_set(X509_NAME_get_entry(name, at));
}

// The entries of one step stand together and bear its number.
static int end_of_step(const X509_NAME *name, int from) {
  int num = X509_NAME_entry_count(name);
  int at = from + 1;
  while (at < num && step_of(name, at) == step_of(name, from)) {
    at++;
  }
  return at;
}

static struct tls_relative_name decode_step(struct decoding *to, const X509_NAME *name, int from,
                                            int end) {
  size_t num = (size_t)(end - from);
  struct tls_relative_name step = {.attributes =
                                       arena_array(to->arena, num, sizeof(*step.attributes))};
  while (step.attributes != NULL && step.num_attributes < num) {
    int at = from + (int)step.num_attributes;
    step.attributes[step.num_attributes++] = decode_attribute(to, X509_NAME_get_entry(name, at));
  }
  return step;
}

static size_t count_steps(const X509_NAME *name) {
  size_t num = 0;
  for (int at = 0; at < X509_NAME_entry_count(name); at = end_of_step(name, at)) {
    num++;
  }
  return num;
}

struct tls_name name_decode(struct decoding *to, const X509_NAME *name) {
  struct tls_name out = {0};
  out.steps = arena_array(to->arena, count_steps(name), sizeof(*out.steps));
  int at = 0;
  while (out.steps != NULL && at < X509_NAME_entry_count(name)) {
    int end = end_of_step(name, at);
    out.steps[out.num_steps++] = decode_step(to, name, at, end);
    at = end;
  }
  decoding_check(to);
  return out;
}

const char *name_text(struct decoding *to, const X509_NAME *name) {
  X509_NAME_print_ex(to->scratch, name, 0, XN_FLAG_RFC2253);
  return text_taken(to);
}

// ---------------------------------------------------------------------------------------------
// subjectAltName.

static const char *address_text(struct decoding *to, struct slice a) {
  const uint8_t *b = a.data;
  if (a.len == 4) {
    BIO_printf(to->scratch, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
  } else if (a.len == 16) {
    for (size_t i = 0; i < a.len; i += 2) {
      BIO_printf(to->scratch, "%s%X", i == 0 ? "" : ":", b[i] << 8 | b[i + 1]);
    }
  } else {
    BIO_puts(to->scratch, "<invalid>");
  }
  return text_taken(to);
}

static void decode_string(struct decoding *to, const ASN1_STRING *string,
                          struct tls_alternative_name *out) {
  out->value = bytes_copied(to, bytes_of(string));
  out->text = text_escaped(to, out->value);
}

static void decode_address(struct decoding *to, const ASN1_STRING *string,
                           struct tls_alternative_name *out) {
  out->value = bytes_copied(to, bytes_of(string));
  out->text = address_text(to, out->value);
}

// OpenSSL prints the rest as "othername: ...": label and text.
static void decode_other(struct decoding *to, GENERAL_NAME *name,
                         struct tls_alternative_name *out) {
  GENERAL_NAME_print(to->scratch, name);
  char *printed = NULL;
  long printed_len = BIO_get_mem_data(to->scratch, &printed);
  struct slice rest = slice_of(printed, printed_len < 0 ? 0 : (size_t)printed_len);
  const uint8_t *colon = rest.len == 0 ? NULL : memchr(rest.data, ':', rest.len);
  struct slice label = slice_of(NULL, 0);
  if (colon != NULL) {
    struct slice skipped;
    slice_take(&rest, (size_t)(colon - rest.data), &label);
    slice_take(&rest, 1, &skipped);
  }
  out->label = text_escaped(to, label);
  out->text = text_escaped(to, rest);
  (void)BIO_reset(to->scratch);
}

static void decode_directory(struct decoding *to, const X509_NAME *name,
                             struct tls_alternative_name *out) {
  out->directory = name_decode(to, name);
  out->text = name_text(to, name);
}

struct tls_alternative_name alternative_name_decode(struct decoding *to, GENERAL_NAME *name) {
  static const enum tls_alternative_name_kind kinds[] = {
      [GEN_DNS] = TLS_ALT_DNS,           [GEN_EMAIL] = TLS_ALT_EMAIL,
      [GEN_URI] = TLS_ALT_URI,           [GEN_IPADD] = TLS_ALT_IP,
      [GEN_DIRNAME] = TLS_ALT_DIRECTORY, [GEN_RID] = TLS_ALT_REGISTERED_ID,
      [GEN_OTHERNAME] = TLS_ALT_OTHER,   [GEN_X400] = TLS_ALT_OTHER,
      [GEN_EDIPARTY] = TLS_ALT_OTHER,
  };
  int type = 0;
  void *value = GENERAL_NAME_get0_value(name, &type);
  struct tls_alternative_name out = {.kind = kinds[type], .text = "", .label = ""};
  switch (out.kind) {
    case TLS_ALT_DNS:
    case TLS_ALT_EMAIL:
    case TLS_ALT_URI:
      decode_string(to, value, &out);
      break;
    case TLS_ALT_IP:
      decode_address(to, value, &out);
      break;
    case TLS_ALT_DIRECTORY:
      decode_directory(to, value, &out);
      break;
    case TLS_ALT_REGISTERED_ID:
      out.text = text_of_oid(to, value);
      break;
    case TLS_ALT_OTHER:
      decode_other(to, name, &out);
      break;
  }
  return out;
}
