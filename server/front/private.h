// What the files of this folder share.
#ifndef TLSAGENT_SERVER_FRONT_PRIVATE_H_
#define TLSAGENT_SERVER_FRONT_PRIVATE_H_

#include <stdatomic.h>

#include "server/front/front.h"
#include "server/ring/listener.h"

struct acceptor;

// What a worker does of a front.
struct acceptor {
  struct front *front;  // a reference, from its start to its end
  struct worker *worker;
  struct listener *listener;  // NULL before and after
  struct list connections;
  unsigned num_connections;
  bool closing;
  struct message start;
  struct message quit;
  struct message stop;
};

struct front {
  struct list link;  // in config.fronts, until it is closed
  struct front_config config;
  bool accepts_tcp;
  _Atomic unsigned references;
  _Atomic bool draining;
  _Atomic bool closed;
  _Atomic unsigned accepting;  // acceptors whose listener has not ended
  _Atomic uint64_t accepted;
  _Atomic uint64_t active;
  _Atomic uint64_t established;
  _Atomic uint64_t handshakes_failed;
  _Atomic uint64_t dials_failed;
  _Atomic uint64_t refused;
  _Atomic uint64_t bytes_read;
  _Atomic uint64_t bytes_written;

  pthread_mutex_t lock;  // guards what follows
  struct list records;
  size_t num_records;
  uint64_t lost;
  struct list waiters;

  unsigned num_acceptors;
  struct acceptor acceptors[];
};

// connection_start takes over a connection that was accepted.
void connection_start(struct acceptor *acceptor, int fd);
// connections_close ends all connections of the acceptor, soon.
void connections_close(struct acceptor *acceptor);

// acceptor_count notes that there is one connection more or less. With the last one the acceptor
// may be gone.
void acceptor_count(struct acceptor *acceptor, int change);

// front_add_record keeps a record for who fetches it, and takes it over.
void front_add_record(struct front *front, struct front_record *record);

#endif  // TLSAGENT_SERVER_FRONT_PRIVATE_H_
