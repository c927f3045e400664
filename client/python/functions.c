// The functions of the module: random bytes, places of trust, a certificate in a file.

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/python/agent.h"
#include "client/python/arguments.h"
#include "client/python/buffer.h"
#include "client/python/certificate.h"
#include "client/python/errors.h"

enum {
  TIMEOUT_MS = 30000,   // none of these takes long
  RANDOM_MAX = 1 << 16  // bytes at a time, either way
};

static struct module_state *state_of(PyObject *module) {
  return PyModule_GetState(module);
}

// --- Random bytes ---

static bool add_entropy(const char *data, size_t len, struct tlsagent_error *error) {
  struct tlsagent_client *client = agent_take(NULL, error);
  bool good = client != NULL;
  while (good && len > 0) {
    const size_t part = len < RANDOM_MAX ? len : RANDOM_MAX;
    good = tlsagent_agent_add_entropy(client, data, part, TIMEOUT_MS, error);
    data += part;
    len -= part;
  }
  if (client != NULL) {
    agent_give(client);
  }
  return good;
}

// Text, as UTF-8, or any bytes; *out is released by PyBuffer_Release().
static bool get_text_or_buffer(PyObject *object, Py_buffer *out) {
  if (!PyUnicode_Check(object)) {
    return arguments_buffer(object, out);
  }
  Py_ssize_t len;
  const char *text = PyUnicode_AsUTF8AndSize(object, &len);
  return text != NULL && PyBuffer_FillInfo(out, object, (void *)(uintptr_t)text, len, 1, 0) == 0;
}

PyDoc_STRVAR(rand_add_doc,
             "RAND_add($module, string, entropy, /)\n--\n\n"
             "Adds bytes to the state of the daemon's random generator. What they are said to be\n"
             "worth is ignored: the generator has a source of its own.");

// The daemon credits a client's bytes with no entropy, whatever it is said to be.
static PyObject *rand_add(PyObject *module, PyObject *const *args, Py_ssize_t num_args) {
  Py_buffer view;
  struct tlsagent_error error;
  bool good;
  if (!arguments_count("RAND_add", num_args, 2, 2) || !get_text_or_buffer(args[0], &view)) {
    return NULL;
  }
  if (PyFloat_AsDouble(args[1]) == -1.0 && PyErr_Occurred()) {
    PyBuffer_Release(&view);
    return NULL;
  }
  Py_BEGIN_ALLOW_THREADS;
  good = add_entropy(view.buf, (size_t)view.len, &error);
  Py_END_ALLOW_THREADS;
  PyBuffer_Release(&view);
  return good ? Py_NewRef(Py_None) : raise_agent(state_of(module), &error, false, __LINE__);
}

static bool get_random(char *out, size_t len, struct tlsagent_error *error) {
  struct tlsagent_client *client = agent_take(NULL, error);
  bool good = client != NULL;
  while (good && len > 0) {
    const size_t part = len < RANDOM_MAX ? len : RANDOM_MAX;
    good = tlsagent_agent_random_bytes(client, out, part, TIMEOUT_MS, error);
    out += part;
    len -= part;
  }
  if (client != NULL) {
    agent_give(client);
  }
  return good;
}

static PyObject *random_bytes(PyObject *module, int num) {
  struct tlsagent_error error;
  bool good;
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, num);
  if (bytes == NULL || num == 0) {
    return bytes;
  }
  char *out = PyBytes_AsString(bytes);
  Py_BEGIN_ALLOW_THREADS;
  good = get_random(out, (size_t)num, &error);
  Py_END_ALLOW_THREADS;
  if (!good) {
    Py_DECREF(bytes);
    return raise_agent(state_of(module), &error, false, __LINE__);
  }
  return bytes;
}

static bool get_count(PyObject *object, int *out) {
  if (!arguments_int(object, out)) {
    return false;
  }
  if (*out < 0) {
    PyErr_SetString(PyExc_ValueError, "num must be positive");
    return false;
  }
  return true;
}

PyDoc_STRVAR(rand_bytes_doc,
             "RAND_bytes($module, n, /)\n--\n\n"
             "n random bytes, good enough for keys.");

static PyObject *rand_bytes(PyObject *module, PyObject *count) {
  int num;
  return get_count(count, &num) ? random_bytes(module, num) : NULL;
}

PyDoc_STRVAR(rand_pseudo_bytes_doc,
             "RAND_pseudo_bytes($module, n, /)\n--\n\n"
             "(n random bytes, True): they are those of RAND_bytes().");

static PyObject *rand_pseudo_bytes(PyObject *module, PyObject *count) {
  int num;
  if (!arguments_int(count, &num) ||
      PyErr_WarnEx(PyExc_DeprecationWarning, "ssl.RAND_pseudo_bytes() is deprecated", 1) != 0 ||
      !get_count(count, &num)) {
    return NULL;
  }
  PyObject *bytes = random_bytes(module, num);
  return bytes == NULL ? NULL : Py_BuildValue("(NO)", bytes, Py_True);
}

PyDoc_STRVAR(rand_status_doc,
             "RAND_status($module, /)\n--\n\n"
             "True: a daemon whose random generator isn't seeded doesn't start.");

// A daemon whose generator isn't seeded doesn't start.
static PyObject *rand_status(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  Py_RETURN_TRUE;
}

// --- Where trust is ---

PyDoc_STRVAR(get_default_verify_paths_doc,
             "get_default_verify_paths($module, /)\n--\n\n"
             "Where set_default_verify_paths() looks for CAs: (environment variable that names a\n"
             "file, file without it, variable that names a directory, directory without it).");

static PyObject *get_default_verify_paths(PyObject *module, PyObject *unused) {
  const struct tlsagent_verify_paths *paths = &state_of(module)->info->verify_paths;
  (void)unused;
  return Py_BuildValue(
      "(NNNN)", PyUnicode_DecodeFSDefault(paths->file_env), PyUnicode_DecodeFSDefault(paths->file),
      PyUnicode_DecodeFSDefault(paths->directory_env), PyUnicode_DecodeFSDefault(paths->directory));
}

// --- A certificate in a file ---

// Reads all of a file, as far as a certificate may reasonably go; false when it can't be read.
static bool read_file(const char *path, struct buffer *out) {
  enum { PIECE = 1 << 16, MOST = 1 << 20 };
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t len = fd < 0 ? -1 : 1;
  while (len > 0 && buffer_len(out) < MOST) {
    uint8_t *room = buffer_room(out, PIECE);
    len = room == NULL ? -1 : read(fd, room, PIECE);
    if (len > 0) {
      buffer_added(out, (size_t)len);
    }
  }
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0;
}

static bool decode(const struct buffer *file, struct tlsagent_certificate_decode_reply **out,
                   struct tlsagent_error *error) {
  const struct tlsagent_certificate_decode_request request = {
      .certificates = tlsagent_material_data(buffer_front(file), buffer_len(file)),
      .max_certificates = 1};
  struct tlsagent_client *client = agent_take(NULL, error);
  if (client == NULL) {
    return false;
  }
  const bool good = tlsagent_certificate_decode(client, out, &request, TIMEOUT_MS, error);
  agent_give(client);
  return good;
}

static bool has(const struct buffer *file, const char *text) {
  return buffer_len(file) > 0 &&
         memmem(buffer_front(file), buffer_len(file), text, strlen(text)) != NULL;
}

// The daemon reads DER and trusted certificates too, which are errors here.
static bool is_pem(const struct buffer *file) {
  return has(file, "-----BEGIN CERTIFICATE-----") || has(file, "-----BEGIN X509 CERTIFICATE-----");
}

static PyObject *decode_file(struct module_state *state, const struct buffer *file) {
  struct tlsagent_certificate_decode_reply *reply = NULL;
  struct tlsagent_error error = {.fault = TLSAGENT_FAULT_TLS};
  PyObject *dict = NULL;
  if (is_pem(file)) {
    Py_BEGIN_ALLOW_THREADS;
    decode(file, &reply, &error);
    Py_END_ALLOW_THREADS;
  }
  if (reply != NULL && reply->num_certificates > 0) {
    dict = certificate_dict(state, &reply->certificates[0]);
  } else if (error.fault == TLSAGENT_FAULT_TLS) {
    PyErr_SetString(state->SSLError, "Error decoding PEM-encoded file");
  } else {
    raise_agent(state, &error, false, __LINE__);
  }
  tlsagent_free(reply);
  return dict;
}

PyDoc_STRVAR(test_decode_cert_doc, "_test_decode_cert($module, path, /)\n--\n\n");

static PyObject *test_decode_cert(PyObject *module, PyObject *object) {
  struct module_state *state = state_of(module);
  PyObject *path;
  if (!PyUnicode_FSConverter(object, &path)) {
    return NULL;
  }
  struct buffer file = {.data = NULL};
  PyObject *dict = NULL;
  if (read_file(PyBytes_AsString(path), &file)) {
    dict = decode_file(state, &file);
  } else {
    PyErr_SetString(state->SSLError, "Can't open file");
  }
  buffer_free(&file);
  Py_DECREF(path);
  return dict;
}

// --- All of them ---

static PyMethodDef functions[] = {
    {"_test_decode_cert", test_decode_cert, METH_O, test_decode_cert_doc},
    {"RAND_add", (PyCFunction)(void (*)(void))rand_add, METH_FASTCALL, rand_add_doc},
    {"RAND_bytes", rand_bytes, METH_O, rand_bytes_doc},
    {"RAND_status", rand_status, METH_NOARGS, rand_status_doc},
    {"get_default_verify_paths", get_default_verify_paths, METH_NOARGS,
     get_default_verify_paths_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef functions_until_3_11[] = {
    {"RAND_pseudo_bytes", rand_pseudo_bytes, METH_O, rand_pseudo_bytes_doc},
    {NULL, NULL, 0, NULL},
};

int functions_init(PyObject *module, struct module_state *state) {
  if (state->version <= PYTHON_3_11 && PyModule_AddFunctions(module, functions_until_3_11) != 0) {
    return -1;
  }
  return PyModule_AddFunctions(module, functions);
}
