// The third protocol: one line about one descriptor, an answer, and the end. It is plain enough for
// any language with sendmsg(2).
//
//   TOKEN put 0123456789abcdef0123456789abcdef\n   with one descriptor    OK\n
//   TOKEN get 0123456789abcdef0123456789abcdef\n                          OK\n, with one
//
// or else ERR, a space, a sentence and \n.
#include <stdio.h>
#include <string.h>

#include "server/rpc/rpc_priv.h"

enum { VERB_LEN = 10, TOKEN_HEX_LEN = 2 * DEPOSIT_TOKEN_BYTES };

static status_t token_begin(struct connection *connection) {
  struct token_state *state = &connection->token;
  state->len = 0;
  attachments_init(&state->descriptors, &connection->share->descriptors, connection->share->uid);
  return OK_STATUS;
}

static void token_end(struct connection *connection) {
  attachments_close(&connection->token.descriptors);
  explicit_bzero(connection->token.line, sizeof(connection->token.line));
}

// ---------------------------------------------------------------------------------------------
// Answers

static void answer(struct connection *connection, const char *text) {
  output_append_status(connection, slice_of_string(text));
  connection_end(connection);
}

static void answer_refusal(struct connection *connection, const struct sentence *why) {
  char text[sizeof(why->text) + sizeof("ERR \n")];
  snprintf(text, sizeof(text), "ERR %s\n", why->text);
  counter_add(COUNTER_calls_failed, 1);
  answer(connection, text);
}

static size_t token_refusal(uint8_t out[CODEC_REFUSAL_MAX], const char *text) {
  int len = snprintf((char *)out, CODEC_REFUSAL_MAX, "ERR %.*s\n", FAILURE_TEXT_MAX, text);
  return (size_t)len;
}

// ---------------------------------------------------------------------------------------------
// What the line wants

static status_t no_such_token(struct sentence *why) {
  return refuse(why, STATUS_NOT_FOUND,
                "there is no such token, or it is used up, expired, or another user's");
}

static status_t put(struct connection *connection, struct slice token, struct sentence *why) {
  struct attachments *came = &connection->token.descriptors;
  int fd = -1;
  if (came->num != 1) {
    return refuse(
        why, STATUS_INVALID_ARGUMENT,
        "put wants one descriptor, in the same sendmsg as the line (SCM_RIGHTS): %zu came",
        came->num);
  }
  TRY(attachments_take(came, 0, &fd));
  status_t stored = deposit_put(&connection->home->server->deposits, &connection->peer, token, fd);
  if (!status_ok(stored)) {
    closer_close(connection->share->uid, fd);
    return no_such_token(why);
  }
  return stored;
}

// The descriptor travels with the first byte of the answer.
static status_t get(struct connection *connection, struct slice token, struct sentence *why) {
  int fd = -1;
  if (connection->token.descriptors.num != 0) {
    return refuse(why, STATUS_INVALID_ARGUMENT, "get takes no descriptor");
  }
  if (!status_ok(
          deposit_fetch(&connection->home->server->deposits, &connection->peer, token, &fd))) {
    return no_such_token(why);
  }
  status_t sent = stream_send_fd(connection->stream, fd);
  if (!status_ok(sent)) {
    closer_close(connection->share->uid, fd);
    return refuse(why, sent.code, "out of memory for the answer");
  }
  return sent;
}

static status_t refuse_line(struct sentence *why) {
  counter_add(COUNTER_frames_malformed, 1);
  return refuse(why, STATUS_INVALID_ARGUMENT,
                "a line is \"TOKEN put \" or \"TOKEN get \", 32 hexadecimal digits and a newline, "
                "with nothing after it");
}

static status_t perform(struct connection *connection, struct sentence *why) {
  struct slice line = slice_of(connection->token.line, connection->token.len);
  struct slice verb;
  struct slice hex;
  uint8_t bytes[DEPOSIT_TOKEN_BYTES];
  if (!slice_take(&line, VERB_LEN, &verb) || !slice_take(&line, TOKEN_HEX_LEN, &hex) ||
      !hex_parse(hex, bytes, sizeof(bytes))) {
    return refuse_line(why);
  }
  struct slice token = slice_of(bytes, sizeof(bytes));
  if (slice_equal(verb, slice_of_string("TOKEN put "))) {
    return put(connection, token, why);
  }
  return slice_equal(verb, slice_of_string("TOKEN get ")) ? get(connection, token, why)
                                                          : refuse_line(why);
}

static status_t perform_if_welcome(struct connection *connection, struct sentence *why) {
  if (connection->peer.identity != NULL) {
    return refuse(why, STATUS_FAILED_PRECONDITION, "descriptors come and go on Unix sockets only");
  }
  TRY(admit_check_stage(connection, why));
  TRY(check_attachments(&connection->token.descriptors, why));
  return perform(connection, why);
}

// ---------------------------------------------------------------------------------------------
// The line

enum line {
  LINE_COMPLETE,
  LINE_PARTIAL,
  LINE_WRONG,
};

// Every line has the same length: what hasn't ended by then is none, and nothing follows it.
static enum line take_line(struct token_state *state, struct slice data) {
  const size_t room = sizeof(state->line) - state->len;
  const size_t num = data.len < room ? data.len : room;
  memcpy(state->line + state->len, data.data, num);
  state->len += num;
  const char *end = memchr(state->line, '\n', state->len);
  if (end == NULL) {
    return state->len < sizeof(state->line) ? LINE_PARTIAL : LINE_WRONG;
  }
  const bool last = end == state->line + sizeof(state->line) - 1;
  return last && num == data.len ? LINE_COMPLETE : LINE_WRONG;
}

static void token_receive(struct connection *connection, struct slice data,
                          struct attachments *arrived) {
  struct sentence why;
  status_t status;
  attachments_move(&connection->token.descriptors, arrived);
  switch (take_line(&connection->token, data)) {
    case LINE_PARTIAL:
      return;
    case LINE_COMPLETE:
      status = perform_if_welcome(connection, &why);
      break;
    default:
      status = refuse_line(&why);
      break;
  }
  attachments_close(&connection->token.descriptors);
  if (status_ok(status)) {
    answer(connection, "OK\n");
  } else {
    answer_refusal(connection, &why);
  }
}

static uint64_t token_unfinished(const struct connection *connection) {
  (void)connection;
  return 1;  // until it has ended, which ends the connection
}

static void token_give_up(struct connection *connection) {
  struct sentence why;
  status_t late = refuse(&why, STATUS_DEADLINE_EXCEEDED,
                         "the line took longer than limit \"request_millis\" to arrive");
  (void)late;
  answer_refusal(connection, &why);
}

// There are no calls, so that nothing of theirs is ever asked for.
const struct codec codec_token = {
    .name = "token",
    .refusal = token_refusal,
    .begin = token_begin,
    .receive = token_receive,
    .end = token_end,
    .unfinished = token_unfinished,
    .give_up = token_give_up,
};
