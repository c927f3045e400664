#include "client/load/channel.h"

bool channel_open(struct channel *channel, const struct channel_config *config,
                  struct tls_error *error) {
  *channel = (struct channel){.kind = config->link == NULL ? &CHANNEL_OWN : &CHANNEL_VIA};
  tls_error_clear(error);
  return channel->kind->open(channel, config, error);
}

void channel_submit(struct channel *channel, struct session_op *op) {
  channel->kind->submit(channel, op);
}

void channel_cancel(struct channel *channel, struct session_op *op) {
  channel->kind->cancel(channel, op);
}

void channel_close(struct channel *channel, void (*closed)(struct channel *channel)) {
  channel->closed = closed;
  channel->kind->close(channel);
}

bool channel_resumed(struct channel *channel) {
  return channel->kind->resumed(channel);
}

void channel_agreed(struct channel *channel, struct agreed *out) {
  channel->kind->agreed(channel, out);
}

struct slice channel_resumption(struct channel *channel, struct arena *arena) {
  return channel->kind->resumption(channel, arena);
}
