// An operation: one thing asked of the kernel, in a struct of the caller's.
//
// The caller fills in kind, fd, the arguments and done, starts it, and leaves it alone until its
// last result has been handed to done. Only then may the struct be used again or freed: a
// completion that is late must never find other memory in its place.
#ifndef TLSAGENT_SERVER_RING_OP_H_
#define TLSAGENT_SERVER_RING_OP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/base/list.h"
#include "server/ring/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

// Every kind of operation. What each is to the kernel, and what its errors mean, is in op_table.c.
enum op_kind {
  OP_RECV,               // into a provided buffer, once
  OP_RECV_MULTISHOT,     // into provided buffers, until stopped
  OP_RECVMSG,            // payload into a provided buffer, descriptors into message->msg_control
  OP_RECVMSG_MULTISHOT,  // header, descriptors and payload into provided buffers, until stopped
  OP_SEND,               // data and len, all of it unless something stops it
  OP_SENDMSG,            // message, possibly less than all of it
  OP_ACCEPT,             // one connection: a descriptor, close-on-exec
  OP_CONNECT,            // to address
  OP_POLL,               // until one of events
  OP_READ,               // data and len
  OP_CANCEL,             // target
  OP_WAKE,               // the ring whose descriptor is fd
  OP_KIND_COUNT
};

enum op_state {
  OP_IDLE,       // the owner's
  OP_WAITING,    // in the loop's list, for a place in the submission queue
  OP_IN_FLIGHT,  // the kernel's
  OP_ANSWERED    // its result is known without the kernel, and will be handed to done
};

struct op_result {
  int value;        // what the system call would return; -errno when it failed
  bool more;        // a multishot goes on: the operation is still in flight
  bool has_buffer;  // a provided buffer came with it, see buffers.h
  uint16_t buffer;
};

struct ring_op {
  enum op_kind kind;
  enum op_state state;
  int fd;
  int answer;    // the result, when OP_ANSWERED
  size_t limit;  // a fault: at most so many bytes; 0 without
  bool large;    // receives into a large buffer
  union {
    struct {
      void *data;
      size_t len;
    } bytes;
    struct msghdr *message;
    struct {
      const struct sockaddr *data;
      socklen_t len;
    } address;
    unsigned events;
    struct ring_op *target;
  };
  struct list link;  // among those that wait for a place, or are answered
  void (*done)(struct ring_op *op, const struct op_result *result);
};

// What a result asks for, from one table for all (op_table.c).
enum op_outcome {
  OP_FAILED,  // the errno is the answer
  OP_SUCCEEDED,
  OP_AGAIN,       // nothing is wrong: start it again at once
  OP_POLL_FIRST,  // the descriptor is non-blocking: wait by poll, then start it again
  OP_NO_BUFFER,   // start it again once buffers have come back
  OP_LATER,       // the system is short of something: start it again after a moment
  OP_CANCELLED
};

enum op_outcome op_outcome(enum op_kind kind, int value);
// op_name returns the kind's name, for logs.
const char *op_name(enum op_kind kind);

// op_init makes an idle operation.
void op_init(struct ring_op *op, enum op_kind kind, int fd,
             void (*done)(struct ring_op *op, const struct op_result *result));

// op_start hands an idle operation to the kernel with the loop's next enter. It can't fail: without
// a place in the submission queue it waits for one, in order.
void op_start(struct loop *loop, struct ring_op *op);

static inline bool op_busy(const struct ring_op *op) {
  return op->state != OP_IDLE;
}

// ---------------------------------------------------------------------------------------------
// Stopping. Kernels differ in what they answer to a cancellation and to its target, so the target's
// own last result is the only thing that counts; the stopper asks until it has come.

struct op_stopper {
  struct loop *loop;
  struct ring_op *target;
  struct ring_op cancel;
  struct timer again;
  bool wanted;           // stopped, and not yet at rest
  bool asked_meanwhile;  // op_stopper_stop was called while cancel was under way
  void *owner;
  void (*rested)(void *owner);  // the cancel is over: owner may look whether all is idle
};

void op_stopper_init(struct op_stopper *stopper, struct loop *loop, struct ring_op *target,
                     void (*rested)(void *owner), void *owner);
// op_stopper_stop cancels the target; its done will be called as for any other result. Harmless
// when the target is idle.
void op_stopper_stop(struct op_stopper *stopper);
// op_stopper_rest asks no more, since the target is idle or is wanted again.
void op_stopper_rest(struct op_stopper *stopper);
// op_stopper_busy tells whether the kernel may still refer to the stopper.
bool op_stopper_busy(const struct op_stopper *stopper);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_OP_H_
