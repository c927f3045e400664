// MemoryBIO: bytes on their way, kept in this process.
#ifndef TLSAGENT_CLIENT_PYTHON_BIO_H_
#define TLSAGENT_CLIENT_PYTHON_BIO_H_

#include "client/python/buffer.h"
#include "client/python/state.h"

// bio_check tells whether object is a MemoryBIO.
bool bio_check(const struct module_state *state, PyObject *object);

// What the sessions on it do, all with the GIL held. bio_buffer returns its bytes, to peek at,
// consume from and append to.
struct buffer *bio_buffer(PyObject *bio);
bool bio_eof_written(PyObject *bio);

#endif  // TLSAGENT_CLIENT_PYTHON_BIO_H_
