#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/rpc/credentials.h"
#include "server/rpc/rpc_priv.h"

enum { DRAINED_AT_ONCE = 4096 };

// ---------------------------------------------------------------------------------------------
// The end

// Every call loses its connection; those whose handlers are told may end, and take others along.
static void lose_calls(struct connection *connection) {
  struct list *link = list_pop_front(&connection->calls);
  while (link != NULL) {
    struct call *call = LIST_ENTRY(link, struct call, link);
    call->connection = NULL;
    list_push_back(&connection->home->orphans, &call->link);
    call_cancel(call, &call_cause_lost);
    link = list_pop_front(&connection->calls);
  }
  connection->num_calls = 0;
  connection->num_streams = 0;
}

static void leave_client(struct connection *connection) {
  struct client *client = connection->client;
  connection->client = NULL;
  if (client != NULL) {
    client_leave(client);
    client_unref(client);
  }
}

// Whatever the connection stands for ends; what is left is a stream.
static void let_go(struct connection *connection) {
  lose_calls(connection);
  leave_client(connection);
}

void connection_close(struct connection *connection) {
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  if (connection->state == CONNECTION_CLOSING) {
    return;
  }
  connection->state = CONNECTION_CLOSING;
  let_go(connection);
  timer_cancel(connection->home->loop, &connection->patience);
  output_drop(connection);
  stream_close(connection->stream);
}

void connection_end(struct connection *connection) {
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  if (connection->state != CONNECTION_OPEN) {
    return;
  }
  connection->state = CONNECTION_ENDED;
  let_go(connection);
  output_refill(connection);
  if (connection->state != CONNECTION_ENDED) {
    return;
  }
  if (stream_unsent(connection->stream) == 0) {
    connection_close(connection);
    return;
  }
  stream_pause(connection->stream);
}

void connection_drain(struct connection *connection) {
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  if (connection->state == CONNECTION_OPEN && connection->codec != NULL &&
      connection->codec->drain != NULL) {
    connection->codec->drain(connection);
  }
  LIST_FOR(link, &connection->calls) {
    call_drain(LIST_ENTRY(link, struct call, link));
  }
}

static void count_out(struct connection *connection) {
  struct rpc_home *home = connection->home;
  if (connection->refused) {
    home->num_refused--;
  } else {
    tenant_disconnect(home->server->tenant, &connection->peer);
    counter_add(COUNTER_connections_closed, 1);
  }
  home->load.connections--;
}

static void connection_free(struct connection *connection) {
  assert(connection->client == NULL && list_empty(&connection->calls));
  struct rpc_home *home = connection->home;
  count_out(connection);
  list_remove(&connection->link);
  share_leave(&home->server->shares, connection->share);
  connection->magic = 0;
  free(connection);
  rpc_home_report(home);
}

// ---------------------------------------------------------------------------------------------
// What the stream tells

void connection_reject(struct connection *connection, const char *why) {
  uint64_t unlogged = 0;
  if (rpc_home_may_log(connection->home, &unlogged)) {
    char who[PEER_TEXT_MAX];
    peer_text(&connection->peer, who);
    LOG_WARNING("closed a connection of %s: %s (%" PRIu64 " lines not logged)", who, why, unlogged);
  }
  connection_close(connection);
}

static bool choose_codec(struct connection *connection, struct slice first) {
  const struct codec *codec = codec_for(first);
  if (codec == NULL) {
    counter_add(COUNTER_frames_malformed, 1);
    connection_reject(connection, "it speaks neither ttrpc nor gRPC");
    return false;
  }
  if (!status_ok(codec->begin(connection))) {
    connection_reject(connection, "out of memory");
    return false;
  }
  connection->codec = codec;
  return true;
}

// One timer that is seldom set: what isn't finished now is looked at again when its time may be
// over.
static void watch_unfinished(struct connection *connection) {
  if (connection->state != CONNECTION_OPEN || connection->patience.place != 0) {
    return;
  }
  connection->impatient_with = connection->codec->unfinished(connection);
  if (connection->impatient_with == 0) {
    return;
  }
  uint64_t patience = connection->home->server->limits.request_millis * NANOS_PER_MILLI;
  clock_time when = clock_add(loop_now(connection->home->loop), patience);
  if (!status_ok(timer_set(connection->home->loop, &connection->patience, when))) {
    connection_reject(connection, "out of memory");
  }
}

static void receive(struct connection *connection, struct slice data, struct attachments *arrived) {
  if (connection->state != CONNECTION_OPEN) {
    return;
  }
  if (connection->codec != NULL || choose_codec(connection, data)) {
    connection->codec->receive(connection, data, arrived);
    watch_unfinished(connection);
  }
}

static void log_behind(struct rpc_home *home, const struct peer *peer) {
  uint64_t unlogged = 0;
  counter_add(COUNTER_limits_hit, 1);
  if (rpc_home_may_log(home, &unlogged)) {
    char who[PEER_TEXT_MAX];
    peer_text(peer, who);
    LOG_WARNING("closed a connection of %s: closing what this user has passed hangs (%" PRIu64
                " lines not logged)",
                who, unlogged);
  }
}

// Whoever makes closes hang would pile up descriptors with every frame: he is not listened to.
static bool is_behind(struct connection *connection) {
  if (connection->state == CONNECTION_CLOSING || !closer_behind(connection->peer.uid)) {
    return false;
  }
  log_behind(connection->home, &connection->peer);
  shutdown(stream_fd(connection->stream), SHUT_RDWR);  // its close comes late, in his line
  connection_close(connection);
  return true;
}

static void on_data(struct stream *stream, struct slice data, const int *fds, size_t num_fds,
                    size_t dropped) {
  struct connection *connection = stream_owner(stream);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  struct attachments arrived;
  attachments_init(&arrived, &connection->share->descriptors, connection->share->uid);
  attachments_add(&arrived, fds, num_fds, dropped);
  if (num_fds + dropped == 0 || !is_behind(connection)) {
    receive(connection, data, &arrived);
  }
  attachments_close(&arrived);
}

static void on_end(struct stream *stream, int os_errno) {
  struct connection *connection = stream_owner(stream);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  if (os_errno == 0) {
    connection_end(connection);
  } else {
    connection_close(connection);
  }
}

static void on_sent(struct stream *stream, int os_errno) {
  struct connection *connection = stream_owner(stream);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  if (os_errno != 0) {
    connection_close(connection);
    return;
  }
  output_sent(connection);
  if (connection->state == CONNECTION_ENDED && stream_unsent(connection->stream) == 0) {
    connection_close(connection);
  }
}

static void on_room(struct stream *stream) {
  struct connection *connection = stream_owner(stream);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  output_room(connection);
}

static void on_closed(struct stream *stream) {
  struct connection *connection = stream_owner(stream);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  assert(connection->state == CONNECTION_CLOSING);
  if (connection->codec != NULL) {
    connection->codec->end(connection);
  }
  connection_free(connection);
}

static const struct stream_events connection_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_closed = on_closed,
    .on_room = on_room,
};

// ---------------------------------------------------------------------------------------------
// The beginning

// A peer that isn't listened to can't finish anything either.
static void look_at_unfinished(struct connection *connection) {
  uint64_t unfinished = connection->codec->unfinished(connection);
  if (unfinished != 0 && unfinished == connection->impatient_with && !connection->paused) {
    counter_add(COUNTER_requests_unfinished, 1);
    connection->codec->give_up(connection);
  }
  watch_unfinished(connection);
}

static void on_patience_over(struct timer *timer) {
  struct connection *connection = LIST_ENTRY(timer, struct connection, patience);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  if (connection->refused) {
    connection_close(connection);
  } else if (connection->state == CONNECTION_OPEN) {
    look_at_unfinished(connection);
  }
}

static struct connection *connection_alloc(struct rpc_home *home, const struct peer *peer) {
  struct connection *connection = calloc(1, sizeof(*connection));
  if (connection == NULL) {
    return NULL;
  }
  connection->magic = CONNECTION_MAGIC;
  connection->home = home;
  connection->peer = *peer;
  connection->share = share_enter(&home->server->shares, peer->uid);
  if (connection->share == NULL) {
    free(connection);
    return NULL;
  }
  list_init(&connection->link);
  list_init(&connection->calls);
  timer_init(&connection->patience, on_patience_over);
  output_init(connection);
  return connection;
}

// Whom the socket's close may make wait: nobody, where it is no user's.
static uid_t closer_of(const struct peer *peer) {
  return peer->identity == NULL ? peer->uid : CLOSER_NOBODY;
}

// Takes fd over in any case.
static status_t connection_new(struct rpc_home *home, int fd, const struct peer *peer,
                               struct connection **out) {
  struct connection *connection = connection_alloc(home, peer);
  if (connection == NULL) {
    closer_close(closer_of(peer), fd);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  int flags = STREAM_CONTINUOUS | (peer->identity == NULL ? STREAM_WITH_FDS : 0);
  status_t status = stream_new(home->loop, closer_of(peer), fd, flags,
                               home->server->limits.queued_bytes + OUTPUT_RESERVE,
                               &connection_events, connection, &connection->stream);
  if (!status_ok(status)) {
    share_leave(&home->server->shares, connection->share);
    free(connection);
    return status;
  }
  list_push_back(&home->connections, &connection->link);
  home->load.connections++;
  *out = connection;
  return OK_STATUS;
}

static void welcome(struct rpc_home *home, int fd, const struct peer *peer) {
  struct connection *connection = NULL;
  if (!status_ok(connection_new(home, fd, peer, &connection))) {
    tenant_disconnect(home->server->tenant, peer);
    counter_add(COUNTER_connections_refused, 1);
    return;
  }
  counter_add(COUNTER_connections_accepted, 1);
  stream_receive(connection->stream);
}

// ---------------------------------------------------------------------------------------------
// Past a limit: the peer is told so by the answer to its first request.

// What the peer speaks, if it has spoken.
static const struct codec *codec_of(int fd) {
  uint8_t first = 0;
  ssize_t len = recv(fd, &first, sizeof(first), MSG_PEEK | MSG_DONTWAIT);
  const struct codec *codec = codec_for(slice_of(&first, len > 0 ? (size_t)len : 0));
  return codec != NULL ? codec : &codec_ttrpc;
}

// Says so at once and unasked.
static void refuse_unasked(const struct peer *peer, int fd, struct quota_limit limit) {
  char text[CEILING_TEXT_MAX];
  uint8_t words[CODEC_REFUSAL_MAX];
  ceiling_text(text, limit.name, limit.value);
  size_t size = codec_of(fd)->refusal(words, text);
  // Whether it arrives or not, the connection ends here.
  if (send(fd, words, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    counter_add(COUNTER_calls_failed, 1);
  }
  closer_close(closer_of(peer), fd);
}

// Without memory for it the connection just ends.
static void wait_for_question(struct rpc_home *home, int fd, const struct peer *peer,
                              struct quota_limit limit) {
  struct connection *connection = NULL;
  if (!status_ok(connection_new(home, fd, peer, &connection))) {
    return;
  }
  connection->refused = true;
  connection->refused_by = limit;
  home->num_refused++;
  stream_receive(connection->stream);
  clock_time patience = clock_add(loop_now(home->loop), REFUSED_PATIENCE);
  if (!status_ok(timer_set(home->loop, &connection->patience, patience))) {
    connection_close(connection);
  }
}

static void turn_away(struct rpc_home *home, int fd, const struct peer *peer) {
  struct quota_limit limit = tenant_limit(home->server->tenant, peer, QUOTA_CONNECTIONS);
  uint64_t unlogged = 0;
  counter_add(COUNTER_connections_refused, 1);
  counter_add(COUNTER_limits_hit, 1);
  if (rpc_home_may_log(home, &unlogged)) {
    char who[PEER_TEXT_MAX];
    peer_text(peer, who);
    LOG_WARNING("refused a connection of %s: limit \"%s\" (%" PRIu64 ") is reached (%" PRIu64
                " lines not logged)",
                who, limit.name, limit.value, unlogged);
  }
  if (home->num_refused == REFUSED_MAX) {
    refuse_unasked(peer, fd, limit);
  } else {
    wait_for_question(home, fd, peer, limit);
  }
}

// Throws away what is queued; false when descriptors are, which stay. A look at them (MSG_PEEK)
// holds them a moment longer, so that the kernel closes none here.
static bool drain(int fd) {
  char bytes[DRAINED_AT_ONCE];
  struct iovec data = {.iov_base = bytes, .iov_len = sizeof(bytes)};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  while (recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT) > 0) {
    if ((message.msg_flags & MSG_CTRUNC) != 0 ||
        recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0) {
      return false;
    }
  }
  return true;
}

// Without a word. What holds no descriptors can be closed here, and has to be: else whoever comes
// again and again would make his line longer without end.
static void hang_up(struct rpc_home *home, int fd, const struct peer *peer) {
  counter_add(COUNTER_connections_refused, 1);
  log_behind(home, peer);
  shutdown(fd, SHUT_RDWR);  // nothing is queued any more from here on
  if (drain(fd)) {
    close(fd);
  } else {
    closer_close(peer->uid, fd);
  }
}

static status_t find_peer(int fd, const struct peer *known, struct peer *out) {
  if (known == NULL) {
    return credentials_read(fd, out);
  }
  *out = *known;
  return OK_STATUS;
}

void connection_accept(struct rpc_home *home, int fd, const struct peer *known) {
  struct peer peer;
  if (!status_ok(find_peer(fd, known, &peer))) {
    closer_close(CLOSER_DAEMON, fd);
  } else if (home->stage != RPC_SERVING) {
    closer_close(closer_of(&peer), fd);
  } else if (known == NULL && closer_behind(peer.uid)) {
    hang_up(home, fd, &peer);
  } else if (status_ok(tenant_connect(home->server->tenant, &peer))) {
    welcome(home, fd, &peer);
  } else {
    turn_away(home, fd, &peer);
  }
}

bool connection_carries_fds(const struct connection *connection) {
  return connection->codec->carries_fds && connection->peer.identity == NULL;
}

struct call *connection_call(const struct connection *connection, uint32_t stream_id) {
  LIST_FOR(link, &connection->calls) {
    struct call *call = LIST_ENTRY(link, struct call, link);
    if (call->stream_id == stream_id) {
      return call;
    }
  }
  return NULL;
}
