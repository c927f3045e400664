#include "client/python/certificate.h"

#include <stdio.h>
#include <string.h>

#include "client/python/arguments.h"
#include "client/python/errors.h"
#include "client/python/objects.h"

// ENCODING_PEM, ENCODING_DER, and OpenSSL's own form of PEM that says what a certificate is good
// for.
enum encoding { ENCODING_PEM = 1, ENCODING_DER = 2, ENCODING_PEM_AUX = 0x101 };

// --- Tuples ---

// Makes the i-th member of a tuple of what data points to.
typedef PyObject *make_item(struct module_state *state, const void *data, size_t i);

static PyObject *make_tuple(struct module_state *state, make_item *make, const void *data,
                            size_t num) {
  PyObject *tuple = PyTuple_New((Py_ssize_t)num);
  for (size_t i = 0; tuple != NULL && i < num; i++) {
    PyObject *item = make(state, data, i);
    if (item == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, item) != 0) {
      Py_CLEAR(tuple);
    }
  }
  return tuple;
}

// (name, value), taking the reference to value.
static PyObject *make_pair(const char *name, PyObject *value) {
  return value == NULL ? NULL : Py_BuildValue("(sN)", name, value);
}

static PyObject *text_of(struct tlsagent_bytes bytes) {
  return PyUnicode_DecodeUTF8(bytes.len == 0 ? "" : (const char *)bytes.data, (Py_ssize_t)bytes.len,
                              "strict");
}

static PyObject *make_text(struct module_state *state, const void *data, size_t i) {
  (void)state;
  return PyUnicode_FromString(((const char *const *)data)[i]);
}

// --- Names ---

// Octets are bytes to Python, but for text that holds a NUL, which the daemon can't send as text.
static PyObject *make_raw(const struct tlsagent_name_attribute *attribute) {
  if (strcmp(attribute->type, "x500UniqueIdentifier") != 0) {
    PyObject *text = text_of(attribute->value);
    if (text != NULL || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
      return text;
    }
    PyErr_Clear();
  }
  return PyBytes_FromStringAndSize((const char *)attribute->value.data,
                                   (Py_ssize_t)attribute->value.len);
}

static PyObject *make_attribute(struct module_state *state, const void *data, size_t i) {
  (void)state;
  const struct tlsagent_name_attribute *attribute =
      &((const struct tlsagent_name_attribute *)data)[i];
  PyObject *value =
      attribute->value_kind == TLSAGENT_NAME_RAW ? make_raw(attribute) : text_of(attribute->value);
  return make_pair(attribute->type, value);
}

static PyObject *make_relative_name(struct module_state *state, const void *data, size_t i) {
  const struct tlsagent_relative_name *name = &((const struct tlsagent_relative_name *)data)[i];
  return make_tuple(state, make_attribute, name->attributes, name->num_attributes);
}

static PyObject *make_name(struct module_state *state, const struct tlsagent_relative_name *names,
                           size_t num) {
  return make_tuple(state, make_relative_name, names, num);
}

// --- Alternative names ---

static PyObject *make_ip_v4(const uint8_t *octets) {
  return PyUnicode_FromFormat("%d.%d.%d.%d", octets[0], octets[1], octets[2], octets[3]);
}

static PyObject *make_ip_v6(const uint8_t *octets) {
  char text[sizeof("FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF")];
  int len = 0;
  for (size_t i = 0; i < 8; i++) {
    const unsigned group = (unsigned)octets[2 * i] << 8 | octets[2 * i + 1];
    len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%X", i == 0 ? "" : ":", group);
  }
  return PyUnicode_FromString(text);
}

static PyObject *make_ip(struct tlsagent_bytes octets) {
  switch (octets.len) {
    case 4:
      return make_ip_v4(octets.data);
    case 16:
      return make_ip_v6(octets.data);
    default:
      return PyUnicode_FromString("<invalid>");
  }
}

// OpenSSL's name of an OID, or the OID: the certificate has numbers only.
static PyObject *make_registered_id(struct module_state *state, const char *oid) {
  const struct tlsagent_agent_lookup_object_request request = {.by = TLSAGENT_OBJECT_BY_OID,
                                                               .text = oid};
  struct tlsagent_agent_lookup_object_reply *reply;
  if (!objects_find(state, &request, &reply)) {
    return NULL;
  }
  PyObject *name = PyUnicode_FromString(reply->found ? reply->long_name : oid);
  tlsagent_free(reply);
  return name;
}

static PyObject *make_alternative_name(struct module_state *state, const void *data, size_t i) {
  const struct tlsagent_alternative_name *name =
      &((const struct tlsagent_alternative_name *)data)[i];
  switch (name->kind) {
    case TLSAGENT_ALTERNATIVE_NAME_DNS:
      return make_pair("DNS", text_of(name->value));
    case TLSAGENT_ALTERNATIVE_NAME_EMAIL:
      return make_pair("email", text_of(name->value));
    case TLSAGENT_ALTERNATIVE_NAME_URI:
      return make_pair("URI", text_of(name->value));
    case TLSAGENT_ALTERNATIVE_NAME_IP:
      return make_pair("IP Address", make_ip(name->value));
    case TLSAGENT_ALTERNATIVE_NAME_DIRECTORY:
      return make_pair("DirName", make_name(state, name->directory, name->num_directory));
    case TLSAGENT_ALTERNATIVE_NAME_REGISTERED_ID:
      return make_pair("Registered ID", make_registered_id(state, name->text));
    default:
      return make_pair(name->label, PyUnicode_FromString(name->text));
  }
}

// --- The dict ---

// Takes the reference to value.
static bool set(PyObject *dict, const char *key, PyObject *value) {
  const bool good = value != NULL && PyDict_SetItemString(dict, key, value) == 0;
  Py_XDECREF(value);
  return good;
}

static bool set_texts(struct module_state *state, PyObject *dict, const char *key,
                      const char *const *texts, size_t num) {
  return num == 0 || set(dict, key, make_tuple(state, make_text, texts, num));
}

static bool set_always(struct module_state *state, PyObject *dict,
                       const struct tlsagent_certificate *certificate) {
  return set(dict, "subject", make_name(state, certificate->subject, certificate->num_subject)) &&
         set(dict, "issuer", make_name(state, certificate->issuer, certificate->num_issuer)) &&
         set(dict, "version", PyLong_FromUnsignedLong(certificate->version)) &&
         set(dict, "serialNumber", PyUnicode_FromString(certificate->serial_number)) &&
         set(dict, "notBefore", PyUnicode_FromString(certificate->not_before)) &&
         set(dict, "notAfter", PyUnicode_FromString(certificate->not_after));
}

static bool set_present(struct module_state *state, PyObject *dict,
                        const struct tlsagent_certificate *certificate) {
  const size_t num_names = certificate->num_subject_alt_names;
  return (num_names == 0 || set(dict, "subjectAltName",
                                make_tuple(state, make_alternative_name,
                                           certificate->subject_alt_names, num_names))) &&
         set_texts(state, dict, "OCSP", certificate->ocsp, certificate->num_ocsp) &&
         set_texts(state, dict, "caIssuers", certificate->ca_issuers,
                   certificate->num_ca_issuers) &&
         set_texts(state, dict, "crlDistributionPoints", certificate->crl_distribution_points,
                   certificate->num_crl_distribution_points);
}

PyObject *certificate_dict(struct module_state *state,
                           const struct tlsagent_certificate *certificate) {
  PyObject *dict = PyDict_New();
  if (dict != NULL &&
      (!set_always(state, dict, certificate) || !set_present(state, dict, certificate))) {
    Py_CLEAR(dict);
  }
  return dict;
}

// --- Certificate ---

struct certificate {
  PyObject_HEAD PyObject *der;
  PyObject *pem;
  PyObject *subject;
  PyObject *info;     // the dict, which nobody else has; or NULL, and
  PyObject *failure;  // why there is none
  Py_hash_t hash;
};

static struct certificate *certificate_of(PyObject *self) {
  return (struct certificate *)self;
}

static bool fill(struct module_state *state, struct certificate *self,
                 const struct tlsagent_certificate *certificate) {
  self->der = PyBytes_FromStringAndSize((const char *)certificate->der.data,
                                        (Py_ssize_t)certificate->der.len);
  self->pem = PyUnicode_FromString(certificate->pem);
  self->subject = PyUnicode_FromString(certificate->subject_text);
  self->hash = (Py_hash_t)certificate->subject_hash;
  if (self->der == NULL || self->pem == NULL || self->subject == NULL) {
    return false;
  }
  self->info = certificate_dict(state, certificate);
  if (self->info == NULL) {
    self->failure = take_raised();  // a name that isn't UTF-8 is in the way of get_info() only
  }
  return true;
}

PyObject *certificate_new(struct module_state *state,
                          const struct tlsagent_certificate *certificate) {
  PyObject *self = PyType_GenericAlloc(state->certificate_type, 0);
  if (self != NULL && !fill(state, certificate_of(self), certificate)) {
    Py_CLEAR(self);
  }
  return self;
}

PyObject *certificate_list(struct module_state *state,
                           const struct tlsagent_certificate *certificates, size_t num) {
  PyObject *list = PyList_New((Py_ssize_t)num);
  for (size_t i = 0; list != NULL && i < num; i++) {
    PyObject *item = certificate_new(state, &certificates[i]);
    if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) != 0) {
      Py_CLEAR(list);
    }
  }
  return list;
}

static void certificate_dealloc(PyObject *object) {
  struct certificate *self = certificate_of(object);
  PyTypeObject *type = Py_TYPE(object);
  Py_XDECREF(self->der);
  Py_XDECREF(self->pem);
  Py_XDECREF(self->subject);
  Py_XDECREF(self->info);
  Py_XDECREF(self->failure);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

static PyObject *certificate_repr(PyObject *self) {
  return PyUnicode_FromFormat("<_ssl.Certificate '%U'>", certificate_of(self)->subject);
}

static Py_hash_t certificate_hash(PyObject *self) {
  return certificate_of(self)->hash == -1 ? -2 : certificate_of(self)->hash;
}

static PyObject *certificate_compare(PyObject *left, PyObject *right, int operation) {
  if (!Py_IS_TYPE(right, Py_TYPE(left)) || (operation != Py_EQ && operation != Py_NE)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  return PyObject_RichCompare(certificate_of(left)->der, certificate_of(right)->der, operation);
}

// A certificate that a peer sent is marked for no use, so that only the label differs.
static PyObject *mark_trusted(PyObject *pem) {
  return PyObject_CallMethod(pem, "replace", "ss", " CERTIFICATE", " TRUSTED CERTIFICATE");
}

static PyObject *encode(struct certificate *self, int encoding) {
  switch (encoding) {
    case ENCODING_PEM:
      return Py_NewRef(self->pem);
    case ENCODING_PEM_AUX:
      return mark_trusted(self->pem);
    case ENCODING_DER:
      return Py_NewRef(self->der);
    default:
      PyErr_SetString(PyExc_ValueError, "Unsupported format");
      return NULL;
  }
}

PyDoc_STRVAR(public_bytes_doc, "public_bytes($self, /, format=Encoding.PEM)\n--\n\n");

static PyObject *certificate_public_bytes(PyObject *self, PyObject *const *args,
                                          Py_ssize_t num_args, PyObject *names) {
  static const char *const parameters[] = {"format", NULL};
  static const struct signature signature = {
      .function = "public_bytes", .names = parameters, .positional = 1};
  PyObject *format;
  int encoding = ENCODING_PEM;
  if (!arguments_parse(&signature, args, num_args, names, &format) ||
      (format != NULL && !arguments_int(format, &encoding))) {
    return NULL;
  }
  return encode(certificate_of(self), encoding);
}

PyDoc_STRVAR(get_info_doc, "get_info($self, /)\n--\n\n");

// What is in the dict can't be changed, only the dict can.
static PyObject *certificate_get_info(PyObject *object, PyObject *unused) {
  (void)unused;
  struct certificate *self = certificate_of(object);
  return self->info == NULL ? raise_again(self->failure) : PyDict_Copy(self->info);
}

static PyMethodDef methods[] = {
    {"public_bytes", (PyCFunction)(void (*)(void))certificate_public_bytes,
     METH_FASTCALL | METH_KEYWORDS, public_bytes_doc},
    {"get_info", certificate_get_info, METH_NOARGS, get_info_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, certificate_dealloc},
    {Py_tp_repr, certificate_repr},
    {Py_tp_hash, certificate_hash},
    {Py_tp_richcompare, certificate_compare},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "_ssl.Certificate",
    .basicsize = sizeof(struct certificate),
    .flags = Py_TPFLAGS_DEFAULT | TYPE_IMMUTABLE | TYPE_NOT_INSTANTIABLE,
    .slots = slots,
};

int certificate_type_init(PyObject *module, struct module_state *state) {
  state->certificate_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
  return state->certificate_type == NULL ? -1 : PyModule_AddType(module, state->certificate_type);
}
