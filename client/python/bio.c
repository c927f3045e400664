#include "client/python/bio.h"

#include "client/python/arguments.h"

struct bio {
  PyObject_HEAD struct module_state *state;
  struct buffer buffer;
  bool eof_written;
};

static struct bio *bio_of(PyObject *self) {
  return (struct bio *)self;
}

static PyObject *bio_new(PyTypeObject *type, PyObject *args, PyObject *names) {
  if (PyTuple_Size(args) > 0) {
    PyErr_SetString(PyExc_TypeError, "MemoryBIO() takes no positional arguments");
    return NULL;
  }
  if (names != NULL && PyDict_Size(names) > 0) {
    PyErr_SetString(PyExc_TypeError, "MemoryBIO() takes no keyword arguments");
    return NULL;
  }
  PyObject *self = PyType_GenericAlloc(type, 0);
  if (self != NULL) {
    bio_of(self)->state = module_state_of(type);
  }
  return self;
}

static int bio_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  return 0;
}

static void bio_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  buffer_free(&bio_of(self)->buffer);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyDoc_STRVAR(
    read_doc,
    "read($self, size=-1, /)\n--\n\n"
    "Takes out at most size bytes, all without a size. b'' says that there are none: now,\n"
    "or, if eof is true, for good.");

static PyObject *bio_read(PyObject *self, PyObject *const *args, Py_ssize_t num_args) {
  struct buffer *buffer = &bio_of(self)->buffer;
  int size = -1;
  if (!arguments_count("read", num_args, 0, 1) ||
      (num_args > 0 && !arguments_int(args[0], &size))) {
    return NULL;
  }
  const size_t held = buffer_len(buffer);
  const size_t len = size < 0 || (size_t)size > held ? held : (size_t)size;
  PyObject *bytes = PyBytes_FromStringAndSize((const char *)buffer_front(buffer), (Py_ssize_t)len);
  if (bytes != NULL) {
    buffer_drop(buffer, len);
  }
  return bytes;
}

PyDoc_STRVAR(write_doc,
             "write($self, b, /)\n--\n\n"
             "Puts all of b in, and returns how many bytes that were.");

static PyObject *write_view(struct bio *bio, const Py_buffer *view) {
  if (view->len > INT_MAX) {
    PyErr_Format(PyExc_OverflowError, "string longer than %d bytes", INT_MAX);
    return NULL;
  }
  if (bio->eof_written) {
    PyErr_SetString(bio->state->SSLError, "cannot write() after write_eof()");
    return NULL;
  }
  if (!buffer_append(&bio->buffer, view->buf, (size_t)view->len)) {
    return PyErr_NoMemory();
  }
  return PyLong_FromSsize_t(view->len);
}

static PyObject *bio_write(PyObject *self, PyObject *data) {
  Py_buffer view;
  if (!arguments_buffer(data, &view)) {
    return NULL;
  }
  PyObject *written = write_view(bio_of(self), &view);
  PyBuffer_Release(&view);
  return written;
}

PyDoc_STRVAR(write_eof_doc,
             "write_eof($self, /)\n--\n\n"
             "Says that nothing will be put in any more: once what is in it is taken out, eof is\n"
             "true.");

static PyObject *bio_write_eof(PyObject *self, PyObject *unused) {
  (void)unused;
  bio_of(self)->eof_written = true;
  Py_RETURN_NONE;
}

static PyObject *bio_get_pending(PyObject *self, void *unused) {
  (void)unused;
  return PyLong_FromSize_t(buffer_len(&bio_of(self)->buffer));
}

static PyObject *bio_get_eof(PyObject *self, void *unused) {
  (void)unused;
  return PyBool_FromLong(bio_of(self)->eof_written && buffer_len(&bio_of(self)->buffer) == 0);
}

static PyMethodDef methods[] = {
    {"read", (PyCFunction)(void (*)(void))bio_read, METH_FASTCALL, read_doc},
    {"write", bio_write, METH_O, write_doc},
    {"write_eof", bio_write_eof, METH_NOARGS, write_eof_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"pending", bio_get_pending, NULL, "How many bytes are in it.", NULL},
    {"eof", bio_get_eof, NULL, "Whether nothing is in it and nothing will come.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, bio_new},     {Py_tp_traverse, bio_traverse}, {Py_tp_dealloc, bio_dealloc},
    {Py_tp_methods, methods}, {Py_tp_getset, properties},     {0, NULL},
};

static PyType_Spec spec = {
    .name = "_ssl.MemoryBIO",
    .basicsize = sizeof(struct bio),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | TYPE_IMMUTABLE,
    .slots = slots,
};

int bio_type_init(PyObject *module, struct module_state *state) {
  state->bio_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
  return state->bio_type == NULL ? -1 : PyModule_AddType(module, state->bio_type);
}

bool bio_check(const struct module_state *state, PyObject *object) {
  return Py_IS_TYPE(object, state->bio_type);
}

struct buffer *bio_buffer(PyObject *bio) {
  return &bio_of(bio)->buffer;
}

bool bio_eof_written(PyObject *bio) {
  return bio_of(bio)->eof_written;
}
