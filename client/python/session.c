#include "client/python/session.h"

struct session {
  PyObject_HEAD PyObject *context;
  PyObject *id;
  PyObject *resumption;
  int64_t time;
  int64_t timeout;
  uint64_t ticket_lifetime_hint;
  bool has_ticket;
};

static struct session *session_of(PyObject *self) {
  return (struct session *)self;
}

static PyObject *bytes_object(struct tlsagent_bytes bytes) {
  return PyBytes_FromStringAndSize((const char *)bytes.data, (Py_ssize_t)bytes.len);
}

PyObject *session_new(struct module_state *state, PyObject *context,
                      const struct tlsagent_session_get_resumption_reply *reply) {
  PyObject *self = PyType_GenericAlloc(state->session_type, 0);
  if (self == NULL) {
    return NULL;
  }
  struct session *session = session_of(self);
  session->context = Py_NewRef(context);
  session->id = bytes_object(reply->id);
  session->resumption = bytes_object(reply->resumption);
  session->time = reply->time;
  session->timeout = reply->timeout;
  session->ticket_lifetime_hint = reply->ticket_lifetime_hint;
  session->has_ticket = reply->has_ticket;
  if (session->id == NULL || session->resumption == NULL) {
    Py_DECREF(self);
    return NULL;
  }
  return self;
}

static int session_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(session_of(self)->context);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

static int session_clear(PyObject *self) {
  Py_CLEAR(session_of(self)->context);
  return 0;
}

static void session_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  session_clear(self);
  Py_XDECREF(session_of(self)->id);
  Py_XDECREF(session_of(self)->resumption);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

// Sessions are equal by their ids, and have no order.
static PyObject *session_compare(PyObject *left, PyObject *right, int operation) {
  if (!Py_IS_TYPE(right, Py_TYPE(left)) || (operation != Py_EQ && operation != Py_NE)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  return PyObject_RichCompare(session_of(left)->id, session_of(right)->id, operation);
}

static PyObject *get_id(PyObject *self, void *unused) {
  (void)unused;
  return Py_NewRef(session_of(self)->id);
}

static PyObject *get_time(PyObject *self, void *unused) {
  (void)unused;
  return PyLong_FromLongLong(session_of(self)->time);
}

static PyObject *get_timeout(PyObject *self, void *unused) {
  (void)unused;
  return PyLong_FromLongLong(session_of(self)->timeout);
}

static PyObject *get_ticket_lifetime_hint(PyObject *self, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(session_of(self)->ticket_lifetime_hint);
}

static PyObject *get_has_ticket(PyObject *self, void *unused) {
  (void)unused;
  return PyBool_FromLong(session_of(self)->has_ticket);
}

static PyGetSetDef properties[] = {
    {"has_ticket", get_has_ticket, NULL, "Whether the server gave a ticket for it.", NULL},
    {"id", get_id, NULL, "The session's id, as bytes.", NULL},
    {"ticket_lifetime_hint", get_ticket_lifetime_hint, NULL,
     "For how many seconds the server expects to take the ticket.", NULL},
    {"time", get_time, NULL, "When it was made, in seconds since 1970.", NULL},
    {"timeout", get_timeout, NULL, "How many seconds after that it is over.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

// Comparing without hashing makes __hash__ None.
static PyType_Slot slots[] = {
    {Py_tp_traverse, session_traverse}, {Py_tp_clear, session_clear},
    {Py_tp_dealloc, session_dealloc},   {Py_tp_richcompare, session_compare},
    {Py_tp_getset, properties},         {0, NULL},
};

static PyType_Spec spec = {
    .name = "_ssl.SSLSession",
    .basicsize = sizeof(struct session),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | TYPE_IMMUTABLE | TYPE_NOT_INSTANTIABLE,
    .slots = slots,
};

int session_type_init(PyObject *module, struct module_state *state) {
  state->session_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
  return state->session_type == NULL ? -1 : PyModule_AddType(module, state->session_type);
}

bool session_check(const struct module_state *state, PyObject *object) {
  return Py_IS_TYPE(object, state->session_type);
}

PyObject *session_context(PyObject *session) {
  return session_of(session)->context;
}

struct tlsagent_bytes session_resumption(PyObject *session) {
  PyObject *bytes = session_of(session)->resumption;
  return tlsagent_bytes_of(PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes));
}
