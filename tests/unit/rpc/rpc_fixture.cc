#include "tests/unit/rpc/rpc_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "server/ring/closer.h"

// ---------------------------------------------------------------------------------------------
// Bytes

static std::string Be32(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += (char)(value >> shift);
  }
  return out;
}

std::string Header(uint32_t length, uint32_t stream_id, uint8_t type, uint8_t flags) {
  return Be32(length) + Be32(stream_id) + (char)type + (char)flags;
}

std::string Frame(uint32_t stream_id, uint8_t type, const std::string &body, uint8_t flags) {
  return Header((uint32_t)body.size(), stream_id, type, flags) + body;
}

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) {
    out += (char)(value | 0x80);
  }
  return out + (char)value;
}

std::string BytesField(uint32_t number, const std::string &value) {
  return Varint(number << 3 | 2) + Varint(value.size()) + value;
}

std::string VarintField(uint32_t number, uint64_t value) {
  return Varint(number << 3) + Varint(value);
}

std::string Envelope(const Request &request) {
  std::string out = BytesField(1, request.service) + BytesField(2, request.method);
  if (!request.payload.empty()) {
    out += BytesField(3, request.payload);
  }
  if (request.timeout_nano != 0) {
    out += VarintField(4, (uint64_t)request.timeout_nano);
  }
  if (!request.token.empty()) {
    out += BytesField(5, BytesField(1, "tlsagent-token") + BytesField(2, request.token));
  }
  return out;
}

std::string RequestFrame(uint32_t stream_id, const Request &request) {
  return Frame(stream_id, 1, Envelope(request));
}

std::string Any(const std::string &type_url, const std::string &value) {
  return BytesField(1, type_url) + (value.empty() ? "" : BytesField(2, value));
}

std::string TokenLine(const std::string &verb, const std::string &token) {
  std::string line = "TOKEN " + verb + " ";
  for (char byte : token) {
    char digits[3];
    snprintf(digits, sizeof(digits), "%02x", (unsigned char)byte);
    line += digits;
  }
  return line + "\n";
}

// ---------------------------------------------------------------------------------------------
// The client

static int ConnectTo(const std::string &path) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, connect(fd, (struct sockaddr *)&address, sizeof(address))) << strerror(errno);
  return fd;
}

Client::Client(const std::string &path) : fd_(ConnectTo(path)) {}

Client::~Client() {
  Close();
  for (int fd : fds_) {
    close(fd);
  }
}

void Client::Close() {
  if (fd_ >= 0) {
    close(fd_);
  }
  fd_ = -1;
}

static ssize_t SendMessage(int fd, const char *data, size_t len, const std::vector<int> &fds,
                           int flags) {
  alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = {};
  struct iovec part = {(void *)data, len};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL | flags);
}

void Client::Send(const std::string &bytes, const std::vector<int> &fds) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    ssize_t n = SendMessage(fd_, bytes.data() + sent, bytes.size() - sent,
                            sent == 0 ? fds : std::vector<int>(), 0);
    if (n < 0) {
      return;  // closed on the other side: what it said before is still there to be read
    }
    sent += (size_t)n;
  }
}

size_t Client::SendSome(const std::string &bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    ssize_t n = SendMessage(fd_, bytes.data() + sent, bytes.size() - sent, {}, MSG_DONTWAIT);
    if (n < 0) {
      break;
    }
    sent += (size_t)n;
  }
  return sent;
}

static bool Readable(int fd, int milliseconds) {
  struct pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, milliseconds) == 1;
}

bool Client::Fill() {
  alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))];
  char data[65536];
  struct iovec part = {data, sizeof(data)};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (!Readable(fd_, kPatienceMs)) {
    ADD_FAILURE() << "nothing came";
    return false;
  }
  ssize_t n = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
  if (n <= 0) {
    return false;
  }
  input_.append(data, (size_t)n);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    size_t num = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const int *fds = (const int *)(const void *)CMSG_DATA(header);
    fds_.insert(fds_.end(), fds, fds + num);
  }
  return true;
}

static uint32_t ReadBe32(const std::string &bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) {
    value = value << 8 | (uint8_t)bytes[at + i];
  }
  return value;
}

static void ParseResponse(const std::string &body, Answer *answer) {
  Ttrpc__Response *response =
      ttrpc__response__unpack(nullptr, body.size(), (const uint8_t *)body.data());
  ASSERT_NE(nullptr, response);
  if (response->status != nullptr) {
    answer->code = response->status->code;
    answer->message = response->status->message;
  }
  Ttrpc__Any *any = ttrpc__any__unpack(nullptr, response->payload.len, response->payload.data);
  ASSERT_NE(nullptr, any);
  answer->type_url = any->type_url;
  answer->value = std::string((const char *)any->value.data, any->value.len);
  ttrpc__any__free_unpacked(any, nullptr);
  ttrpc__response__free_unpacked(response, nullptr);
}

std::unique_ptr<Answer> Client::Receive() {
  while (input_.size() < 10 || input_.size() < 10 + ReadBe32(input_, 0)) {
    if (!Fill()) {
      return nullptr;
    }
  }
  std::unique_ptr<Answer> answer(new Answer());
  uint32_t length = ReadBe32(input_, 0);
  answer->stream_id = ReadBe32(input_, 4);
  EXPECT_EQ(2, input_[8]);
  EXPECT_EQ(0, input_[9]);
  ParseResponse(input_.substr(10, length), answer.get());
  input_.erase(0, 10 + length);
  answer->fds.swap(fds_);
  return answer;
}

Answer Client::Call(uint32_t stream_id, const Request &request, const std::vector<int> &fds) {
  Send(RequestFrame(stream_id, request), fds);
  std::unique_ptr<Answer> answer = Receive();
  if (answer == nullptr) {
    ADD_FAILURE() << "the connection ended";
    return Answer();
  }
  EXPECT_EQ(stream_id, answer->stream_id);
  return *answer;
}

std::string Client::ReceiveAll(std::vector<int> *fds) {
  while (Fill()) {
  }
  if (fds != nullptr) {
    fds->swap(fds_);
  }
  return input_;
}

bool Client::AtEnd() {
  while (Readable(fd_, kPatienceMs)) {
    char data[4096];
    if (recv(fd_, data, sizeof(data), 0) <= 0) {
      return true;
    }
  }
  return false;
}

bool Client::Silent(int milliseconds) {
  return input_.empty() && !Readable(fd_, milliseconds);
}

// ---------------------------------------------------------------------------------------------
// The toy methods

int g_parked;
int g_told;
int g_ran;

int Load(const int *counter) {
  return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static void Count(int *counter, int change) {
  __atomic_add_fetch(counter, change, __ATOMIC_SEQ_CST);
}

static const Ttrpc__Any *RequestOf(struct call *call) {
  return (const Ttrpc__Any *)(const void *)call_request(call);
}

static struct worker *OtherWorker(struct call *call);

static void ReplyAny(struct call *call, const std::string &type_url, const std::string &value = "",
                     int fd = -1) {
  Ttrpc__Any any = TTRPC__ANY__INIT;
  any.type_url = (char *)type_url.c_str();
  any.value = {value.size(), (uint8_t *)value.data()};
  call_reply_with_fd(call, &any.base, fd);
}

static void Echo(struct call *call) {
  Count(&g_ran, 1);
  call_reply(call, &RequestOf(call)->base);
}

// With the type's name, or with bytes that are no text for a request.
static void Fail(struct call *call) {
  const Ttrpc__Any *request = RequestOf(call);
  std::string bytes(reinterpret_cast<const char *>(request->value.data), request->value.len);
  call_fail(call, STATUS_NOT_FOUND, "%s", bytes.empty() ? request->type_url : bytes.c_str());
}

static void Big(struct call *call) {
  ReplyAny(call, "", std::string((size_t)atol(RequestOf(call)->type_url), 'b'));
}

static void EndParked(struct call *call) {
  Count(&g_parked, -1);
  Count(&g_told, 1);
  call_fail(call, STATUS_INTERNAL, "this sentence is replaced by the cause");
}

static void Park(struct call *call) {
  Count(&g_parked, 1);
  call_on_cancel(call, EndParked);
}

static void Busy(struct call *call) {
  Count(&g_parked, 1);
  usleep((useconds_t)atol(RequestOf(call)->type_url) * 1000);
  Count(&g_parked, -1);
  ReplyAny(call, "free again");
}

struct Nap {
  struct timer timer;
  struct call *call;
};

static void EndNap(struct timer *timer) {
  struct call *call = LIST_ENTRY(timer, Nap, timer)->call;
  Count(&g_parked, -1);
  ReplyAny(call, call_is_cancelled(call) ? "too late" : "rested");
}

static void Deaf(struct call *call) {
  Nap *nap = (Nap *)arena_alloc(call_arena(call), sizeof(Nap));
  nap->call = call;
  call_set_state(call, nap);
  timer_init(&nap->timer, EndNap);
  Count(&g_parked, 1);
  clock_time when = clock_now() + (uint64_t)atol(RequestOf(call)->type_url) * NANOS_PER_MILLI;
  EXPECT_TRUE(status_ok(timer_set(worker_loop(worker_current()), &nap->timer, when)));
}

static void EndWithReply(struct call *call) {
  Count(&g_parked, -1);
  Count(&g_told, 1);
  ReplyAny(call, "a reply to nobody", "", FileWith("lost"));
}

static void Answers(struct call *call) {
  Count(&g_parked, 1);
  call_on_cancel(call, EndWithReply);
}

static void Token(struct call *call) {
  const uint8_t *token = client_token(call_client(call));
  ReplyAny(call, "", std::string((const char *)token, CLIENT_TOKEN_BYTES));
}

static void Fds(struct call *call) {
  std::string all;
  size_t num = call_num_fds(call);
  for (size_t i = 0; i < num; i++) {
    int fd = -1;
    EXPECT_TRUE(status_ok(call_take_fd(call, i, &fd)));
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, call_take_fd(call, i, &fd).code);
    all += ReadAll(fd) + ";";
    close(fd);
  }
  int fd = -1;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, call_take_fd(call, num, &fd).code);
  ReplyAny(call, all);
}

static void LeaveFds(struct call *call) {
  ReplyAny(call, std::to_string(call_num_fds(call)));
}

static void GiveFd(struct call *call) {
  ReplyAny(call, "here", "", FileWith("gift"));
}

// ---------------------------------------------------------------------------------------------
// Tokens

static std::string ValueOf(struct call *call) {
  const Ttrpc__Any *request = RequestOf(call);
  return std::string((const char *)request->value.data, request->value.len);
}

static void ReplyToken(struct call *call, status_t made, const uint8_t *token) {
  if (!status_ok(made)) {
    call_fail(call, made.code, "no token");
    return;
  }
  ReplyAny(call, "", std::string((const char *)token, DEPOSIT_TOKEN_BYTES));
}

static void TokenIn(struct call *call) {
  uint8_t token[DEPOSIT_TOKEN_BYTES];
  ReplyToken(call, deposit_new(call, DEPOSIT_IN, token), token);
}

static void TokenOut(struct call *call) {
  uint8_t token[DEPOSIT_TOKEN_BYTES];
  status_t made = deposit_new(call, DEPOSIT_OUT, token);
  if (status_ok(made)) {
    deposit_leave(call, token, FileWith("gift"));
  }
  ReplyToken(call, made, token);
}

// One that will not be used: it takes no more place, and what is left under it is closed.
static void TokenDropped(struct call *call) {
  uint8_t token[DEPOSIT_TOKEN_BYTES];
  status_t made = deposit_new(call, DEPOSIT_OUT, token);
  if (status_ok(made)) {
    deposit_drop(call, token);
    deposit_drop(call, token);
    deposit_leave(call, token, FileWith("late"));
  }
  ReplyToken(call, made, token);
}

static void TakeByToken(struct call *call) {
  std::string token = ValueOf(call);
  int fd = -1;
  status_t taken = deposit_take(call, slice_of(token.data(), token.size()), &fd);
  if (!status_ok(taken)) {
    call_fail(call, taken.code, "nothing is there");
    return;
  }
  std::string text = ReadAll(fd);
  close(fd);
  ReplyAny(call, text);
}

static void Cancel(struct call *call) {
  bool found = call_cancel_stream(call, (uint32_t)atol(RequestOf(call)->type_url));
  ReplyAny(call, found ? "true" : "false");
}

static void Deadline(struct call *call) {
  clock_time deadline = call_deadline(call);
  ReplyAny(call, deadline == CLOCK_NEVER
                     ? "never"
                     : std::to_string((deadline - clock_now()) / NANOS_PER_MILLI));
}

static void Hog(struct call *call) {
  void *block = arena_alloc(call_arena(call), (size_t)atol(RequestOf(call)->type_url));
  ReplyAny(call, block == nullptr ? "false" : "true");
}

// ---------------------------------------------------------------------------------------------
// Toys with many messages

struct Toy {
  int num;
  int max;
  std::string *value;
  bool over;
};

static Toy *ToyOf(struct call *call) {
  return (Toy *)call_state(call);
}

static enum call_sent SendAny(struct call *call, const std::string &type_url,
                              const std::string &value) {
  Ttrpc__Any any = TTRPC__ANY__INIT;
  any.type_url = (char *)type_url.c_str();
  any.value = {value.size(), (uint8_t *)value.data()};
  return call_send(call, &any.base);
}

static void Forget(struct call *call) {
  delete ToyOf(call)->value;
  Count(&g_parked, -1);
}

static void ForgetCancelled(struct call *call) {
  Forget(call);
  Count(&g_told, 1);
  call_fail(call, STATUS_CANCELLED, "told");
}

static void Finish(struct call *call) {
  Forget(call);
  call_on_cancel(call, nullptr);
  call_end(call);
}

static void Remember(struct call *call, const struct call_events *events, int max = 0,
                     const std::string &value = "") {
  Toy *toy = (Toy *)arena_alloc(call_arena(call), sizeof(Toy));
  *toy = {0, max, new std::string(value), false};
  Count(&g_parked, 1);
  call_set_state(call, toy);
  call_stream(call, events);
  call_on_cancel(call, ForgetCancelled);
}

static void SendNumbers(struct call *call) {
  Toy *toy = ToyOf(call);
  enum call_sent sent = CALL_ROOM;
  while (toy->num < toy->max && sent == CALL_ROOM) {
    sent = SendAny(call, std::to_string(toy->num++), *toy->value);
  }
  if (sent == CALL_OVER || (sent == CALL_ROOM && toy->num == toy->max)) {
    Finish(call);
  }
}

static void SendNumbersOn(struct call *call) {
  SendNumbers(call);
}

static void StartCount(struct call *call) {
  static const struct call_events events = {nullptr, nullptr, SendNumbersOn};
  const Ttrpc__Any *request = RequestOf(call);
  if (call_is_cancelled(call)) {
    call_fail(call, STATUS_CANCELLED, "told");
    return;
  }
  Remember(call, &events, atoi(request->type_url),
           std::string((const char *)request->value.data, request->value.len));
  SendNumbers(call);
}

static void Chatter(struct call *call, const ProtobufCMessage *message) {
  Count(&g_ran, 1);
  ToyOf(call)->over = call_send(call, message) == CALL_FULL;
  if (!ToyOf(call)->over) {
    call_want(call);
  }
}

static void StartChat(struct call *call) {
  static const struct call_events events = {Chatter, Finish, [](struct call *room) {
                                              ToyOf(room)->over = false;
                                              call_want(room);
                                            }};
  if (call_is_cancelled(call)) {
    call_fail(call, STATUS_CANCELLED, "told");
    return;
  }
  Remember(call, &events);
  call_want(call);
}

static void StartSum(struct call *call) {
  static const struct call_events events = {[](struct call *more, const ProtobufCMessage *) {
                                              ToyOf(more)->num++;
                                              call_want(more);
                                            },
                                            [](struct call *closed) {
                                              SendAny(closed, std::to_string(ToyOf(closed)->num),
                                                      "");
                                              Finish(closed);
                                            },
                                            nullptr};
  Remember(call, &events);
  call_want(call);
}

static void StartRefuse(struct call *call) {
  static const struct call_events events = {[](struct call *one, const ProtobufCMessage *message) {
                                              call_send(one, message);
                                              Forget(one);
                                              call_fail(one, STATUS_NOT_FOUND, "no more of this");
                                            },
                                            Finish, nullptr};
  Remember(call, &events);
  call_want(call);
}

static void StartSink(struct call *call) {
  static const struct call_events events = {
      [](struct call *, const ProtobufCMessage *) { Count(&g_ran, 1); }, Finish, nullptr};
  Remember(call, &events);
  call_want(call);
}

template <void (*Run)(struct call *)>
static void Here(struct call *call, const ProtobufCMessage *request) {
  EXPECT_EQ(request, call_request(call));
  EXPECT_EQ(worker_current(), call_home(call));
  Run(call);
}

template <void (*Run)(struct call *)>
static void There(struct call *call, const ProtobufCMessage *) {
  call_move(call, OtherWorker(call), Run);
}

static struct worker *Home(struct call *call) {
  return call_home(call);
}

// It moves with its first message, which is gone then.
template <struct worker *(*To)(struct call *)>
static void MovingChat(struct call *call, const ProtobufCMessage *) {
  static const struct call_events events = {[](struct call *first, const ProtobufCMessage *) {
                                              call_on_cancel(first, nullptr);
                                              call_move(first, To(first), StartChat);
                                            },
                                            call_end, nullptr};
  call_stream(call, &events);
  call_on_cancel(call, [](struct call *told) { call_fail(told, STATUS_CANCELLED, "told"); });
  call_want(call);
}

// What waits to be taken, and what all messages are charged for, while one is handled.
static void StartHeld(struct call *call) {
  static const struct call_events events = {
      [](struct call *more, const ProtobufCMessage *) {
        SendAny(more, std::to_string(more->stream->inbox.capacity),
                std::to_string(ceiling_used(&more->share->request_bytes)));
        call_want(more);
      },
      Finish, nullptr};
  Remember(call, &events);
  call_want(call);
}

static bool MayDrain(struct call *call) {
  EXPECT_EQ(worker_current(), call->at);
  return worker_current() == call->at;
}

// The daemon stops in the turn in which the first message comes and the call moves with it. Where
// it is then it hears of that, and ends.
static void StartDrained(struct call *call) {
  static const struct call_events events = {[](struct call *, const ProtobufCMessage *) {}, Finish,
                                            nullptr,
                                            [](struct call *told) {
                                              if (MayDrain(told)) {
                                                Count(&g_ran, 1);
                                                Finish(told);
                                              }
                                            }};
  Remember(call, &events);
  call_want(call);
}

static void MovingDrained(struct call *call, const ProtobufCMessage *) {
  static const struct call_events events = {[](struct call *first, const ProtobufCMessage *) {
                                              call_drain(first);
                                              call_on_cancel(first, nullptr);
                                              call_move(first, OtherWorker(first), StartDrained);
                                            },
                                            call_end, nullptr,
                                            [](struct call *told) {
                                              if (MayDrain(told)) {
                                                call_fail(told, STATUS_UNAVAILABLE,
                                                          "it has not begun");
                                              }
                                            }};
  call_stream(call, &events);
  call_on_cancel(call, [](struct call *told) { call_fail(told, STATUS_CANCELLED, "told"); });
  call_want(call);
}

#define TOY(name, handle) \
  { "toy.Toy", name, &ttrpc__any__descriptor, handle }
#define MANY(name, start, kind)                                         \
  {"toy.Toy", name, &ttrpc__any__descriptor, Here<start>, kind}, {      \
    "toy.Toy", name "Away", &ttrpc__any__descriptor, There<start>, kind \
  }
static const struct method kMethods[] = {
    TOY("Echo", Here<Echo>),
    TOY("Away", There<Echo>),
    TOY("Fail", Here<Fail>),
    TOY("FailAway", There<Fail>),
    TOY("Big", Here<Big>),
    TOY("BigAway", There<Big>),
    TOY("Park", Here<Park>),
    TOY("ParkAway", There<Park>),
    TOY("Deaf", Here<Deaf>),
    TOY("DeafAway", There<Deaf>),
    TOY("Answers", Here<Answers>),
    TOY("AnswersAway", There<Answers>),
    TOY("Token", Here<Token>),
    TOY("Fds", Here<Fds>),
    TOY("FdsAway", There<Fds>),
    TOY("LeaveFds", Here<LeaveFds>),
    TOY("GiveFd", Here<GiveFd>),
    TOY("GiveAway", There<GiveFd>),
    TOY("TokenIn", Here<TokenIn>),
    TOY("TokenInAway", There<TokenIn>),
    TOY("TokenOut", Here<TokenOut>),
    TOY("TokenOutAway", There<TokenOut>),
    TOY("TokenDropped", Here<TokenDropped>),
    TOY("TakeByToken", Here<TakeByToken>),
    TOY("TakeByTokenAway", There<TakeByToken>),
    TOY("Cancel", Here<Cancel>),
    TOY("Deadline", Here<Deadline>),
    TOY("Hog", Here<Hog>),
    TOY("BusyAway", There<Busy>),
    MANY("Count", StartCount, METHOD_SERVER_SENDS),
    MANY("Chat", StartChat, METHOD_BOTH_SEND),
    MANY("Sum", StartSum, METHOD_BOTH_SEND),
    MANY("Refuse", StartRefuse, METHOD_BOTH_SEND),
    MANY("Sink", StartSink, METHOD_BOTH_SEND),
    {"toy.Toy", "MovingChat", &ttrpc__any__descriptor, MovingChat<Home>, METHOD_BOTH_SEND},
    {"toy.Toy", "MovingChatAway", &ttrpc__any__descriptor, MovingChat<OtherWorker>,
     METHOD_BOTH_SEND},
    {"toy.Toy", "Held", &ttrpc__any__descriptor, Here<StartHeld>, METHOD_BOTH_SEND},
    {"toy.Toy", "MovingDrained", &ttrpc__any__descriptor, MovingDrained, METHOD_BOTH_SEND},
};
#undef MANY
#undef TOY

// ---------------------------------------------------------------------------------------------
// The server

static struct worker_pool *g_pool;

static struct worker *OtherWorker(struct call *call) {
  unsigned next = worker_index(call_home(call)) + 1;
  return worker_pool_at(g_pool, next % worker_pool_size(g_pool));
}

Rpc::Rpc() {
  limits_default(&limits_);
}

Rpc::~Rpc() = default;

void Rpc::SetUp() {
  Count(&g_parked, -Load(&g_parked));
  Count(&g_told, -Load(&g_told));
  Count(&g_ran, -Load(&g_ran));
}

static int Listen(const std::string &path) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, bind(fd, (struct sockaddr *)&address, sizeof(address))) << strerror(errno);
  EXPECT_EQ(0, listen(fd, 128));
  return fd;
}

void Rpc::Open() {
  if (listen_fd_ < 0) {
    listen_fd_ = Listen(path_);
  }
}

void Rpc::Start() {
  struct worker_config workers = {num_workers_, 256, 256, 8192, 4};
  const char *why = "";
  ASSERT_TRUE(status_ok(worker_pool_new(&workers, &pool_, &why))) << why;
  g_pool = pool_;
  ASSERT_TRUE(status_ok(tenant_new(&limits_, &tenant_)));
  Open();
  struct rpc_config config = {};
  config.methods = kMethods;
  config.num_methods = sizeof(kMethods) / sizeof(kMethods[0]);
  config.limits = &limits_;
  config.tenant = tenant_;
  config.workers = pool_;
  const rpc_listen listen = {listen_fd_, nullptr};
  config.listen = &listen;
  config.num_listen = 1;
  ASSERT_TRUE(status_ok(rpc_server_new(&config, &server_)));
}

void Rpc::Stop() {
  rpc_server_free(server_);
  server_ = nullptr;
}

void Rpc::TearDown() {
  if (pool_ == nullptr) {
    return;
  }
  Stop();
  worker_pool_free(pool_);
  tenant_free(tenant_);
  close(listen_fd_);
  unlink(path_.c_str());
}

Client Rpc::Connect() {
  if (server_ == nullptr) {
    Start();
  }
  return Client(path_);
}

bool Rpc::AllGone() {
  return Eventually([this] {
    return ceiling_used(&server_->shares.all.calls) == 0 &&
           ceiling_used(&server_->shares.all.request_bytes) == 0 &&
           ceiling_used(&server_->shares.all.reply_bytes) == 0 &&
           ceiling_used(&server_->shares.all.descriptors) == 0 && Connections() == 0;
  });
}

// ---------------------------------------------------------------------------------------------
// Descriptors

int FileWith(const std::string &text) {
  int fd = memfd_create("rpc_test", MFD_CLOEXEC);
  EXPECT_EQ((ssize_t)text.size(), pwrite(fd, text.data(), text.size(), 0));
  return fd;
}

std::string ReadAll(int fd) {
  char data[256];
  ssize_t n = pread(fd, data, sizeof(data), 0);
  return n <= 0 ? "" : std::string(data, (size_t)n);
}

// What was handed to the closer is not closed at once.
static void AwaitCloser() {
  for (int i = 0; i < 10000 && closer_pending(getuid()) + closer_pending(CLOSER_DAEMON) > 0; i++) {
    usleep(1000);
  }
}

// Not by way of /proc: ThreadSanitizer keeps accounts of descriptors that are opened and closed,
// and does not see those that the kernel closes for a ring.
size_t NumOpenFds() {
  AwaitCloser();
  size_t num = 0;
  for (int fd = 0; fd < 4096; fd++) {
    num += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  }
  return num;
}
