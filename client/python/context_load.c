// The loaders: certificates, keys, trust. Files are opened here, by whoever may open them, and read
// by the daemon from the descriptor: keys don't pass through this process.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/python/arguments.h"
#include "client/python/buffer.h"
#include "client/python/context.h"
#include "client/python/errors.h"

enum {
  PASSWORD_MAX = 1024,  // OpenSSL's PEM_BUFSIZE
  DIRECTORIES_MAX = 4,  // that a context of the daemon has; of a longer search path the first count
  FILE_MAX = 64 << 20   // of what must be read here, since it is no regular file
};

// Reports a failed context_sync().
static PyObject *raise_sync(const struct context *context, const struct tlsagent_error *error,
                            int line) {
  return raise_agent(context->state, error, false, line);
}

// --- Files ---

// An open file, as material: its descriptor, or for what the daemon can't read from anywhere its
// bytes.
struct file {
  int fd;
  struct buffer bytes;
  struct tlsagent_material material;
};

static const struct file no_file = {.fd = -1};

static void file_close(struct file *file) {
  if (file->fd >= 0) {
    close(file->fd);
  }
  buffer_free(&file->bytes);
  *file = no_file;
}

// Reads a pipe, a terminal, a device to its end.
static int slurp(struct file *file) {
  enum { CHUNK = 64 * 1024 };
  for (;;) {
    uint8_t *room = buffer_len(&file->bytes) > FILE_MAX ? NULL : buffer_room(&file->bytes, CHUNK);
    if (room == NULL) {
      return buffer_len(&file->bytes) > FILE_MAX ? EFBIG : ENOMEM;
    }
    ssize_t got = read(file->fd, room, CHUNK);
    if (got < 0 && errno != EINTR) {
      return errno;
    }
    if (got == 0) {
      return 0;
    }
    buffer_added(&file->bytes, got < 0 ? 0 : (size_t)got);
  }
}

// Reads the file here after all, for a daemon of another user, which won't read it. false, with
// nothing changed in what the daemon is told, when it can't be.
static bool file_to_bytes(struct file *file) {
  if (file->material.source != TLSAGENT_SOURCE_FD) {
    return true;
  }
  bool read = lseek(file->fd, 0, SEEK_SET) == 0 && slurp(file) == 0;
  file->material = tlsagent_material_data(buffer_front(&file->bytes), buffer_len(&file->bytes));
  return read;
}

// Whether the daemon refused to read a descriptor, so that bytes are to be sent.
static bool wants_bytes(const struct tlsagent_error *error) {
  return error->fault == TLSAGENT_FAULT_REFUSED &&
         error->rpc_code == TLSAGENT_RPC_PERMISSION_DENIED;
}

static int file_material(struct file *file) {
  struct stat info;
  if (fstat(file->fd, &info) < 0) {
    return errno;
  }
  if (S_ISREG(info.st_mode) && info.st_size > 0) {  // files of the kernel's have no size
    file->material = tlsagent_material_fd(file->fd);
    return 0;
  }
  if (S_ISDIR(info.st_mode)) {
    return EISDIR;
  }
  int why = slurp(file);
  file->material = tlsagent_material_data(buffer_front(&file->bytes), buffer_len(&file->bytes));
  return why;
}

// Opens and, if need be, reads; returns an errno. Without the GIL: files can be slow.
static int file_open(const char *path, struct file *out) {
  *out = no_file;
  out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  int why = out->fd < 0 ? errno : file_material(out);
  if (why != 0) {
    file_close(out);
  }
  return why;
}

bool audit_open(PyObject *path, const char *mode) {
  PyObject *audit = PySys_GetObject("audit");
  PyObject *result =
      audit == NULL ? NULL : PyObject_CallFunction(audit, "sOsi", "open", path, mode, 0);
  Py_XDECREF(result);
  return result != NULL || audit == NULL;
}

// The path that a user gave as str, bytes or PathLike; NULL with TypeError(text) set.
static PyObject *to_path(PyObject *given, const char *text) {
  PyObject *path = NULL;
  if (!PyUnicode_FSConverter(given, &path) && PyErr_ExceptionMatches(PyExc_TypeError) &&
      text != NULL) {
    PyErr_SetString(PyExc_TypeError, text);
  }
  return path;
}

// Opens the file at path; false with OSError set, which names `name` if it isn't NULL.
static bool open_path(PyObject *path, struct file *out, PyObject *name) {
  const char *text = PyBytes_AsString(path);
  int why;
  Py_BEGIN_ALLOW_THREADS
  why = file_open(text, out);
  Py_END_ALLOW_THREADS
  if (why != 0) {
    errno = why;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
  }
  return why == 0;
}

// --- Passwords ---

// A password as bytes that are ours. false with an exception set.
static bool password_bytes(PyObject *given, const char *wrong_type, PyObject **out) {
  if (PyUnicode_Check(given)) {
    *out = PyUnicode_AsUTF8String(given);
  } else if (PyBytes_Check(given) || PyByteArray_Check(given)) {
    *out = PyBytes_FromObject(given);
  } else {
    *out = NULL;
    PyErr_SetString(PyExc_TypeError, wrong_type);
  }
  return *out != NULL;
}

static bool password_fits(PyObject *password) {
  if (PyBytes_Size(password) > PASSWORD_MAX) {
    PyErr_Format(PyExc_ValueError, "password cannot be longer than %d bytes", PASSWORD_MAX);
    return false;
  }
  return true;
}

// Asks the user's callable. NULL with an exception set.
static PyObject *ask_password(PyObject *callable) {
  PyObject *answer = PyObject_CallNoArgs(callable);
  PyObject *password = NULL;
  if (answer == NULL) {
    return NULL;
  }
  password_bytes(answer, "password callback must return a string", &password);
  Py_DECREF(answer);
  return password;
}

// The password of a key that turned out to be encrypted.
static PyObject *late_password(PyObject *given) {
  PyObject *password = NULL;
  if (PyCallable_Check(given)) {
    password = ask_password(given);
  } else {
    password_bytes(given, "password should be a string or callable", &password);
  }
  if (password != NULL && !password_fits(password)) {
    Py_CLEAR(password);
  }
  return password;
}

// --- load_cert_chain ---

struct chain {
  struct file certificates;
  struct file key;
};

static bool is_about(const struct tlsagent_error *error, const char *library, const char *reason) {
  return error->fault == TLSAGENT_FAULT_TLS && strcmp(error->tls.library, library) == 0 &&
         strcmp(error->tls.reason, reason) == 0;
}

static bool load_pair(struct context *context, const struct chain *chain, PyObject *password,
                      struct tlsagent_error *error) {
  struct tlsagent_certificate_pair pair = {.chain = chain->certificates.material,
                                           .key = chain->key.material};
  if (password != NULL) {
    pair.password = tlsagent_bytes_of(PyBytes_AsString(password), (size_t)PyBytes_Size(password));
  }
  const struct context_extras extras = {.pair = &pair};
  return context_sync(context, &extras, error);
}

// A password is only looked at when the key turns out to be encrypted: a callable isn't called for
// nothing.
static PyObject *load_chain(struct context *context, struct chain *chain, PyObject *password) {
  struct tlsagent_error error;
  if (!context_change(context, 0)) {
    return NULL;
  }
  bool loaded_plainly = load_pair(context, chain, NULL, &error);
  if (!loaded_plainly && wants_bytes(&error) && file_to_bytes(&chain->certificates) &&
      file_to_bytes(&chain->key)) {
    loaded_plainly = load_pair(context, chain, NULL, &error);
  }
  if (loaded_plainly) {
    return Py_NewRef(Py_None);
  }
  if (password == NULL || !is_about(&error, "PEM", "BAD_PASSWORD_READ")) {
    return raise_sync(context, &error, __LINE__);
  }
  PyObject *secret = late_password(password);
  if (secret == NULL) {
    return NULL;
  }
  bool loaded = load_pair(context, chain, secret, &error);
  Py_DECREF(secret);
  return loaded ? Py_NewRef(Py_None) : raise_sync(context, &error, __LINE__);
}

// Whether the daemon can read the certificates, with a key that is none. false with an exception
// set.
static bool certificates_are_good(struct context *context, const struct chain *chain) {
  static const char no_key[] = "none";
  const struct tlsagent_certificate_pair pair = {
      .chain = chain->certificates.material,
      .key = tlsagent_material_data(no_key, sizeof(no_key) - 1)};
  const struct context_extras extras = {.pair = &pair};
  struct tlsagent_error error;
  if (!context_change(context, 0)) {
    return false;
  }
  bool refused = !context_sync(context, &extras, &error);
  if (refused && strstr(error.tls.item, "chain") != NULL) {
    raise_sync(context, &error, __LINE__);
    return false;
  }
  return true;
}

// OpenSSL reads the certificates before it opens the key's file: what is wrong with them is told
// first.
static bool open_key(struct context *context, PyObject *path, struct chain *chain) {
  const char *text = PyBytes_AsString(path);
  int why;
  Py_BEGIN_ALLOW_THREADS
  why = file_open(text, &chain->key);
  Py_END_ALLOW_THREADS
  if (why != 0 && certificates_are_good(context, chain)) {
    errno = why;
    PyErr_SetFromErrno(PyExc_OSError);
  }
  return why == 0;
}

static PyObject *open_and_load(struct context *context, PyObject *certfile, PyObject *keyfile,
                               PyObject *password) {
  struct chain chain = {no_file, no_file};
  PyObject *result = NULL;
  if (open_path(certfile, &chain.certificates, NULL) &&
      (keyfile == NULL || open_key(context, keyfile, &chain))) {
    result = load_chain(context, &chain, password);
  }
  file_close(&chain.certificates);
  file_close(&chain.key);
  return result;
}

static bool check_password(PyObject *password) {
  bool good = password == NULL || PyCallable_Check(password) || PyUnicode_Check(password) ||
              PyBytes_Check(password) || PyByteArray_Check(password);
  if (!good) {
    PyErr_SetString(PyExc_TypeError, "password should be a string or callable");
  }
  return good;
}

// What was given, unless that is None or nothing.
static PyObject *unless_none(PyObject *object) {
  return object == Py_None ? NULL : object;
}

PyObject *context_load_cert_chain(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                  PyObject *names) {
  static const char *const parameters[] = {"certfile", "keyfile", "password", NULL};
  static const struct signature signature = {"load_cert_chain", parameters, 3, 1};
  PyObject *given[3];
  if (!arguments_parse(&signature, args, num_args, names, given)) {
    return NULL;
  }
  PyObject *key_given = unless_none(given[1]);
  PyObject *password = unless_none(given[2]);
  PyObject *certfile = to_path(given[0], "certfile should be a valid filesystem path");
  PyObject *keyfile = NULL;
  PyObject *result = NULL;
  if (certfile != NULL && key_given != NULL) {
    keyfile = to_path(key_given, "keyfile should be a valid filesystem path");
  }
  if (certfile != NULL && (key_given == NULL || keyfile != NULL) && check_password(password)) {
    result = open_and_load(context_of(self), certfile, keyfile, password);
  }
  Py_XDECREF(certfile);
  Py_XDECREF(keyfile);
  return result;
}

// --- Directories of hashed certificates ---

struct directories {
  struct tlsagent_material materials[DIRECTORIES_MAX];
  size_t num;
};

static void directories_close(struct directories *directories) {
  for (size_t i = 0; i < directories->num; i++) {
    close(directories->materials[i].fd);
  }
  directories->num = 0;
}

// One that can't be opened is one in which nothing is found, as for OpenSSL.
static void directories_add(struct directories *directories, const char *path) {
  int fd =
      directories->num == DIRECTORIES_MAX ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    directories->materials[directories->num++] = tlsagent_material_fd(fd);
  }
}

// The directories of a search path, which colons separate.
static void directories_open(struct directories *directories, const char *paths) {
  char path[PATH_MAX];
  while (paths != NULL && *paths != '\0') {
    size_t len = strcspn(paths, ":");
    if (len > 0 && len < sizeof(path)) {
      memcpy(path, paths, len);
      path[len] = '\0';
      directories_add(directories, path);
    }
    paths += len + (paths[len] == ':');
  }
}

static bool trust_directories(struct context *context, const char *paths,
                              struct tlsagent_error *error) {
  struct directories directories = {.num = 0};
  directories_open(&directories, paths);
  const struct context_extras extras = {.directories = directories.materials,
                                        .num_directories = directories.num};
  bool trusted = directories.num == 0 || context_sync(context, &extras, error);
  directories_close(&directories);
  return trusted;
}

// --- load_verify_locations ---

static bool trust_material(struct context *context, const struct tlsagent_material *material,
                           struct tlsagent_error *error) {
  const struct context_extras extras = {.certificates = material, .num_certificates = 1};
  return context_sync(context, &extras, error);
}

// Whether not even one certificate can be made of DER bytes.
static bool holds_nothing(const struct tlsagent_material *material) {
  const struct tlsagent_certificate_decode_request request = {.certificates = *material,
                                                              .max_certificates = 1};
  struct tlsagent_certificate_decode_reply *reply = NULL;
  struct tlsagent_error error;
  struct tlsagent_client *client = agent_take(NULL, &error);
  bool decoded = client != NULL && tlsagent_certificate_decode(client, &reply, &request, 0, &error);
  bool nothing = !decoded && (reply == NULL || reply->num_certificates == 0);
  tlsagent_free(reply);
  if (client != NULL) {
    agent_give(client);
  }
  return nothing;
}

// Where there is no certificate at all, the words are CPython's own.
static PyObject *raise_data(const struct context *context, const struct tlsagent_material *material,
                            bool is_text, const struct tlsagent_error *error) {
  struct module_state *state = context->state;
  bool nothing;
  Py_BEGIN_ALLOW_THREADS
  nothing = error->fault == TLSAGENT_FAULT_TLS && holds_nothing(material);
  Py_END_ALLOW_THREADS
  if (!nothing) {
    return raise_sync(context, error, __LINE__);
  }
  return raise_text(state, state->SSLError, 0,
                    is_text ? "no start line: cadata does not contain a certificate"
                            : "not enough data: cadata does not contain a certificate",
                    __LINE__);
}

static bool trust_data(struct context *context, const void *data, size_t len, bool is_text) {
  struct tlsagent_error error;
  if (len == 0) {
    PyErr_SetString(PyExc_ValueError, "Empty certificate data");
    return false;
  }
  const struct tlsagent_material material = tlsagent_material_data(data, len);
  if (!trust_material(context, &material, &error)) {
    raise_data(context, &material, is_text, &error);
    return false;
  }
  return true;
}

static bool refuse_data(void) {
  PyErr_SetString(PyExc_TypeError, "cadata should be an ASCII string or a bytes-like object");
  return false;
}

static bool trust_text(struct context *context, PyObject *text) {
  PyObject *ascii = PyUnicode_AsASCIIString(text);
  if (ascii == NULL) {
    return PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) ? refuse_data() : false;
  }
  bool trusted = trust_data(context, PyBytes_AsString(ascii), (size_t)PyBytes_Size(ascii), true);
  Py_DECREF(ascii);
  return trusted;
}

static bool trust_object(struct context *context, PyObject *data) {
  Py_buffer view;
  if (PyUnicode_Check(data)) {
    return trust_text(context, data);
  }
  if (!PyObject_CheckBuffer(data)) {
    return refuse_data();
  }
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
    return false;
  }
  bool trusted = trust_data(context, view.buf, (size_t)view.len, false);
  PyBuffer_Release(&view);
  return trusted;
}

static bool trust_file(struct context *context, PyObject *path) {
  struct tlsagent_error error;
  struct file file;
  if (!open_path(path, &file, NULL)) {
    return false;
  }
  bool trusted = trust_material(context, &file.material, &error);
  if (!trusted && wants_bytes(&error) && file_to_bytes(&file)) {
    trusted = trust_material(context, &file.material, &error);
  }
  file_close(&file);
  if (!trusted) {
    raise_sync(context, &error, __LINE__);
  }
  return trusted;
}

static bool trust_paths(struct context *context, PyObject *paths) {
  struct tlsagent_error error;
  bool trusted = trust_directories(context, PyBytes_AsString(paths), &error);
  if (!trusted) {
    raise_sync(context, &error, __LINE__);
  }
  return trusted;
}

static PyObject *load_locations(struct context *context, PyObject *cafile, PyObject *capath,
                                PyObject *cadata) {
  bool loaded = context_change(context, 0) && (cadata == NULL || trust_object(context, cadata)) &&
                (cafile == NULL || trust_file(context, cafile)) &&
                (capath == NULL || trust_paths(context, capath));
  return loaded ? Py_NewRef(Py_None) : NULL;
}

PyObject *context_load_verify_locations(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                        PyObject *names) {
  static const char *const parameters[] = {"cafile", "capath", "cadata", NULL};
  static const struct signature signature = {"load_verify_locations", parameters, 3, 0};
  PyObject *given[3];
  if (!arguments_parse(&signature, args, num_args, names, given)) {
    return NULL;
  }
  PyObject *file_given = unless_none(given[0]);
  PyObject *path_given = unless_none(given[1]);
  PyObject *cadata = unless_none(given[2]);
  if (file_given == NULL && path_given == NULL && cadata == NULL) {
    PyErr_SetString(PyExc_TypeError, "cafile, capath and cadata cannot be all omitted");
    return NULL;
  }
  PyObject *cafile = NULL;
  PyObject *capath = NULL;
  PyObject *result = NULL;
  if (file_given != NULL) {
    cafile = to_path(file_given, "cafile should be a valid filesystem path");
  }
  if (path_given != NULL && PyErr_Occurred() == NULL) {
    capath = to_path(path_given, "capath should be a valid filesystem path");
  }
  if (PyErr_Occurred() == NULL) {
    result = load_locations(context_of(self), cafile, capath, cadata);
  }
  Py_XDECREF(cafile);
  Py_XDECREF(capath);
  return result;
}

// --- Default verify paths ---

// The environment is this process's, and counts unless it was gained by a set-user-id program.
static const char *env_or(const char *name, const char *otherwise) {
  const char *value = secure_getenv(name);
  return value == NULL ? otherwise : value;
}

struct defaults {
  struct file file;
  struct directories directories;
};

static void defaults_open(struct defaults *defaults, const struct tlsagent_verify_paths *paths) {
  defaults->directories.num = 0;
  if (file_open(env_or(paths->file_env, paths->file), &defaults->file) != 0) {
    defaults->file = no_file;
  }
  directories_open(&defaults->directories, env_or(paths->directory_env, paths->directory));
}

// What of the defaults is told: not all of them may be to the daemon's liking.
struct choice {
  bool file;
  bool directories;
};

static bool defaults_trust(struct context *context, const struct defaults *defaults,
                           struct choice choice, struct tlsagent_error *error) {
  const struct context_extras extras = {
      .certificates = &defaults->file.material,
      .num_certificates = choice.file && defaults->file.fd >= 0,
      .directories = defaults->directories.materials,
      .num_directories = choice.directories ? defaults->directories.num : 0};
  return context_sync(context, &extras, error);
}

static bool was_refused(const struct tlsagent_error *error) {
  return error->fault == TLSAGENT_FAULT_TLS || error->fault == TLSAGENT_FAULT_REFUSED ||
         error->fault == TLSAGENT_FAULT_USAGE;
}

// A default that is missing, damaged or refused is no error, and keeps nobody from the others.
static bool try_defaults(struct context *context, struct defaults *defaults,
                         struct tlsagent_error *error) {
  static const struct choice choices[] = {{true, true}, {false, true}, {true, false}};
  for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
    if (defaults_trust(context, defaults, choices[i], error)) {
      return true;
    }
    if (!was_refused(error)) {
      return false;
    }
    if (wants_bytes(error) && !file_to_bytes(&defaults->file)) {
      return true;
    }
  }
  return true;
}

PyObject *context_set_default_verify_paths(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  struct defaults defaults;
  struct tlsagent_error error;
  if (!context_change(context, 0)) {
    return NULL;
  }
  Py_BEGIN_ALLOW_THREADS
  defaults_open(&defaults, &context->state->info->verify_paths);
  Py_END_ALLOW_THREADS
  bool tried = try_defaults(context, &defaults, &error);
  file_close(&defaults.file);
  directories_close(&defaults.directories);
  return tried ? Py_NewRef(Py_None) : raise_sync(context, &error, __LINE__);
}

// --- Parameters and ciphers ---

PyObject *context_load_dh_params(PyObject *self, PyObject *path) {
  struct context *context = context_of(self);
  PyObject *name = audit_open(path, "rb") ? to_path(path, NULL) : NULL;
  struct tlsagent_error error;
  struct file file;
  if (name == NULL) {
    return NULL;
  }
  bool opened = open_path(name, &file, path);
  Py_DECREF(name);
  if (!opened || !context_change(context, 0)) {
    return NULL;
  }
  struct context_extras extras = {.dh_params = file.material};
  bool loaded = context_sync(context, &extras, &error);
  if (!loaded && wants_bytes(&error) && file_to_bytes(&file)) {
    extras.dh_params = file.material;
    loaded = context_sync(context, &extras, &error);
  }
  file_close(&file);
  return loaded ? Py_NewRef(Py_None) : raise_sync(context, &error, __LINE__);
}

// Puts a text in the place of another and tells the daemon; puts the old one back if it refuses.
static bool try_text(struct context *context, char **place, const char *text, unsigned news,
                     struct tlsagent_error *error) {
  char *old = *place;
  *place = strdup(text);
  if (*place == NULL) {
    *place = old;
    *error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_MEMORY, .message = "no memory"};
    return false;
  }
  context->news |= news;
  if (context_sync(context, NULL, error)) {
    free(old);
    return true;
  }
  free(*place);
  *place = old;
  return false;
}

PyObject *context_set_ciphers(PyObject *self, PyObject *list) {
  struct context *context = context_of(self);
  struct tlsagent_error error;
  Py_ssize_t len;
  if (!PyUnicode_Check(list)) {
    return arguments_refuse_type("set_ciphers() argument", "str", list);
  }
  const char *text = PyUnicode_AsUTF8AndSize(list, &len);
  if (text == NULL || !context_change(context, 0)) {
    return NULL;
  }
  if (strlen(text) != (size_t)len) {
    PyErr_SetString(PyExc_ValueError, "embedded null character");
    return NULL;
  }
  if (try_text(context, &context->ciphers, text, NEWS_CIPHERS, &error)) {
    return Py_NewRef(Py_None);
  }
  if (error.fault == TLSAGENT_FAULT_TLS) {
    PyErr_SetString(context->state->SSLError, "No cipher can be selected.");
    return NULL;
  }
  return raise_sync(context, &error, __LINE__);
}

PyObject *context_set_ecdh_curve(PyObject *self, PyObject *name) {
  struct context *context = context_of(self);
  struct tlsagent_error error;
  PyObject *path = to_path(name, NULL);
  if (path == NULL) {
    return NULL;
  }
  bool set = context_change(context, 0);
  if (set) {
    set = try_text(context, &context->groups, PyBytes_AsString(path), NEWS_GROUPS, &error);
    if (!set && error.fault == TLSAGENT_FAULT_TLS) {
      PyErr_Format(PyExc_ValueError, "unknown elliptic curve name %R", name);
    } else if (!set) {
      raise_sync(context, &error, __LINE__);
    }
  }
  Py_DECREF(path);
  return set ? Py_NewRef(Py_None) : NULL;
}
