#include "client/python/objects.h"

#include <string.h>

#include "client/python/agent.h"
#include "client/python/arguments.h"
#include "client/python/errors.h"

enum { TIMEOUT_MS = 30000 };  // a table is looked up: only a daemon that is stuck takes long

bool objects_find(struct module_state *state,
                  const struct tlsagent_agent_lookup_object_request *request,
                  struct tlsagent_agent_lookup_object_reply **out) {
  struct tlsagent_error error;
  bool good = false;
  *out = NULL;
  Py_BEGIN_ALLOW_THREADS;
  struct tlsagent_client *client = agent_take(NULL, &error);
  if (client != NULL) {
    good = tlsagent_agent_lookup_object(client, out, request, TIMEOUT_MS, &error);
    agent_give(client);
  }
  Py_END_ALLOW_THREADS;
  if (!good) {
    tlsagent_free(*out);
    raise_agent(state, &error, false, __LINE__);
  }
  return good;
}

// Some objects of OpenSSL's have a number and no OID.
static PyObject *object_tuple(const struct tlsagent_agent_lookup_object_reply *object) {
  const char *oid = object->oid[0] == '\0' ? NULL : object->oid;
  return Py_BuildValue("(issz)", (int)object->nid, object->short_name, object->long_name, oid);
}

// Lib/ssl.py looks two objects up when it is imported: those came with Info.
static const struct tlsagent_agent_lookup_object_reply *find_known(
    const struct module_state *state, const struct tlsagent_agent_lookup_object_request *request) {
  const struct tlsagent_agent_info_reply *info = state->info;
  for (size_t i = 0; i < info->num_objects; i++) {
    const struct tlsagent_agent_lookup_object_reply *object = &info->objects[i];
    bool same = request->by == TLSAGENT_OBJECT_BY_NID ? object->nid == request->nid
                                                      : strcmp(object->oid, request->text) == 0;
    if (same) {
      return object;
    }
  }
  return NULL;
}

// *out is NULL, with nothing raised, for an object that OpenSSL doesn't know.
static bool look_up(PyObject *module, const struct tlsagent_agent_lookup_object_request *request,
                    PyObject **out) {
  struct tlsagent_agent_lookup_object_reply *reply;
  const struct tlsagent_agent_lookup_object_reply *known =
      find_known(PyModule_GetState(module), request);
  *out = NULL;
  if (known != NULL) {
    *out = object_tuple(known);
    return *out != NULL;
  }
  if (!objects_find(PyModule_GetState(module), request, &reply)) {
    return false;
  }
  const bool found = reply->found;
  if (found) {
    *out = object_tuple(reply);
  }
  tlsagent_free(reply);
  return !found || *out != NULL;
}

// Whether text is numbers with dots, 1.2.3: OpenSSL makes an object of such even if nobody has
// given it a name. The second is below 40, but for 2.x.
static bool is_dotted(const char *text) {
  if (text[0] < '0' || text[0] > '2' || (text[1] != '.' && text[1] != ' ') || text[2] == '\0') {
    return false;
  }
  const size_t len = strspn(text + 2, "0123456789");
  const bool below_40 = len <= 1 || (len == 2 && text[2] < '4');
  return (below_40 || text[0] == '2') && text[2 + strspn(text + 2, "0123456789. ")] == '\0';
}

static PyObject *raise_unknown_text(const char *text) {
  if (is_dotted(text)) {
    PyErr_SetString(PyExc_ValueError, "Unknown object");
  } else {
    PyErr_Format(PyExc_ValueError, "unknown object '%.100s'", text);
  }
  return NULL;
}

PyDoc_STRVAR(txt2obj_doc,
             "txt2obj($module, /, txt, name=False)\n--\n\n"
             "(NID, short name, long name, OID) of an object that is named by its OID, or, with\n"
             "name=True, by any of its names.");

static const char *get_text(PyObject *object) {
  Py_ssize_t len;
  if (!PyUnicode_Check(object)) {
    arguments_refuse_type("txt2obj() argument 'txt'", "str", object);
    return NULL;
  }
  const char *text = PyUnicode_AsUTF8AndSize(object, &len);
  if (text != NULL && strlen(text) != (size_t)len) {
    PyErr_SetString(PyExc_ValueError, "embedded null character");
    return NULL;
  }
  return text;
}

static PyObject *txt2obj(PyObject *module, PyObject *const *args, Py_ssize_t num_args,
                         PyObject *names) {
  static const char *const parameters[] = {"txt", "name", NULL};
  static const struct signature signature = {
      .function = "txt2obj", .names = parameters, .positional = 2, .required = 1};
  PyObject *values[2];
  PyObject *found;
  if (!arguments_parse(&signature, args, num_args, names, values)) {
    return NULL;
  }
  const char *text = get_text(values[0]);
  const int by_name = text == NULL || values[1] == NULL ? 0 : PyObject_IsTrue(values[1]);
  if (text == NULL || by_name < 0) {
    return NULL;
  }
  const struct tlsagent_agent_lookup_object_request request = {
      .by = by_name != 0 ? TLSAGENT_OBJECT_BY_TEXT : TLSAGENT_OBJECT_BY_OID, .text = text};
  if (!look_up(module, &request, &found)) {
    return NULL;
  }
  return found != NULL ? found : raise_unknown_text(text);
}

PyDoc_STRVAR(nid2obj_doc,
             "nid2obj($module, nid, /)\n--\n\n"
             "(NID, short name, long name, OID) of the object with this number.");

static PyObject *nid2obj(PyObject *module, PyObject *number) {
  int nid;
  PyObject *found;
  if (!arguments_int(number, &nid)) {
    return NULL;
  }
  if (nid < 0) {
    PyErr_SetString(PyExc_ValueError, "NID must be positive.");
    return NULL;
  }
  const struct tlsagent_agent_lookup_object_request request = {.by = TLSAGENT_OBJECT_BY_NID,
                                                               .nid = nid};
  if (nid > 0 && !look_up(module, &request, &found)) {
    return NULL;
  }
  if (nid == 0) {
    PyErr_SetString(PyExc_ValueError, "Unknown object");
    return NULL;
  }
  return found != NULL ? found : PyErr_Format(PyExc_ValueError, "unknown NID %i", nid);
}

static PyMethodDef functions[] = {
    {"txt2obj", (PyCFunction)(void (*)(void))txt2obj, METH_FASTCALL | METH_KEYWORDS, txt2obj_doc},
    {"nid2obj", nid2obj, METH_O, nid2obj_doc},
    {NULL, NULL, 0, NULL},
};

int objects_init(PyObject *module, struct module_state *state) {
  (void)state;
  return PyModule_AddFunctions(module, functions);
}
