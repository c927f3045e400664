// The user's own functions, called during the operation that needs them, on its thread.
#ifndef TLSAGENT_CLIENT_PYTHON_CALLBACKS_H_
#define TLSAGENT_CLIENT_PYTHON_CALLBACKS_H_

#include "client/python/socket.h"

// struct decided is an answer to a decision, with what it points at.
struct decided {
  struct tlsagent_decision_answer answer;
  PyObject *identity;
  PyObject *key;
};

// decide asks the user's callback. Whatever it does there is an answer: what goes wrong is written
// to sys.unraisablehook and becomes a refusal.
void decide(struct ssl_socket *socket, const struct tlsagent_decision *decision,
            struct decided *out);

// decided_clear gives back what the answer points at.
void decided_clear(struct decided *decided);

// deliver_events calls the message callback and writes the key log. What they raise is kept for
// the end of the operation.
void deliver_events(struct ssl_socket *socket, const struct tlsagent_progress *progress);

// raise_kept raises what was kept, or chains it to the exception that is set. It returns false when
// an exception is set after it.
bool raise_kept(struct ssl_socket *socket);

#endif  // TLSAGENT_CLIENT_PYTHON_CALLBACKS_H_
