#include "tests/unit/rpc/grpc_fixture.h"

#include <poll.h>
#include <sys/socket.h>

#include "proto/ttrpc/ttrpc.pb-c.h"

// ---------------------------------------------------------------------------------------------
// Words

std::string Prefixed(const std::string &message, bool compressed) {
  std::string out(1, compressed ? '\1' : '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += (char)(message.size() >> shift);
  }
  return out + message;
}

const char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string FrameOf(uint8_t type, uint8_t flags, uint32_t stream, const std::string &body) {
  std::string out;
  for (int shift = 16; shift >= 0; shift -= 8) {
    out += (char)(body.size() >> shift);
  }
  out += (char)type;
  out += (char)flags;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += (char)(stream >> shift);
  }
  return out + body;
}

Fields CallFields(const std::string &method, const Fields &more) {
  Fields fields = {{":method", "POST"},
                   {":scheme", "http"},
                   {":path", "/toy.Toy/" + method},
                   {":authority", "localhost"},
                   {"content-type", "application/grpc"},
                   {"te", "trailers"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

static std::string Find(const Fields &fields, const std::string &name) {
  for (const auto &field : fields) {
    if (field.first == name) {
      return field.second;
    }
  }
  return "";
}

std::string Stream::Header(const std::string &name) const {
  return Find(headers, name);
}

std::string Stream::Trailer(const std::string &name) const {
  std::string value = Find(trailers, name);
  return value.empty() ? Find(headers, name) : value;
}

int Stream::Code() const {
  std::string code = Trailer("grpc-status");
  return code.empty() ? -1 : std::stoi(code);
}

std::string Stream::Message() const {
  std::string out;
  std::string encoded = Trailer("grpc-message");
  for (size_t i = 0; i < encoded.size(); i++) {
    if (encoded[i] == '%') {
      out += (char)std::stoi(encoded.substr(i + 1, 2), nullptr, 16);
      i += 2;
    } else {
      out += encoded[i];
    }
  }
  return out;
}

template <typename Read>
static std::string FromAny(const std::string &body, Read read) {
  EXPECT_GE(body.size(), 5u);
  if (body.size() < 5) {
    return "";
  }
  EXPECT_EQ(Prefixed(body.substr(5)).substr(0, 5), body.substr(0, 5));
  Ttrpc__Any *any = ttrpc__any__unpack(nullptr, body.size() - 5, (const uint8_t *)body.data() + 5);
  EXPECT_NE(nullptr, any);
  std::string out = any == nullptr ? "" : read(any);
  ttrpc__any__free_unpacked(any, nullptr);
  return out;
}

std::string Stream::TypeUrl() const {
  return FromAny(body, [](Ttrpc__Any *any) { return std::string(any->type_url); });
}

std::string Stream::Value() const {
  return FromAny(
      body, [](Ttrpc__Any *any) { return std::string((char *)any->value.data, any->value.len); });
}

// ---------------------------------------------------------------------------------------------
// The session

static int OnHeader(nghttp2_session *, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t, void *peer) {
  Stream &stream = ((Http2 *)peer)->At(frame->hd.stream_id);
  bool first = frame->headers.cat == NGHTTP2_HCAT_RESPONSE;
  (first ? stream.headers : stream.trailers)
      .emplace_back(std::string((const char *)name, name_len),
                    std::string((const char *)value, value_len));
  return 0;
}

static int OnData(nghttp2_session *, uint8_t, int32_t id, const uint8_t *data, size_t len,
                  void *peer) {
  ((Http2 *)peer)->At(id).body.append((const char *)data, len);
  return 0;
}

static int OnFrame(nghttp2_session *, const nghttp2_frame *frame, void *peer) {
  Http2 *http2 = (Http2 *)peer;
  if (frame->hd.type == NGHTTP2_GOAWAY) {
    http2->goaways.emplace_back(frame->goaway.last_stream_id, frame->goaway.error_code);
  } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
    http2->num_pongs++;
  } else if (frame->hd.type == NGHTTP2_SETTINGS) {
    for (size_t i = 0; i < frame->settings.niv; i++) {
      http2->settings[frame->settings.iv[i].settings_id] = frame->settings.iv[i].value;
    }
  }
  return 0;
}

static int OnClose(nghttp2_session *, int32_t id, uint32_t error, void *peer) {
  Stream &stream = ((Http2 *)peer)->At(id);
  stream.closed = true;
  stream.error = error;
  return 0;
}

static ssize_t ReadBody(nghttp2_session *, int32_t id, uint8_t *out, size_t size, uint32_t *flags,
                        nghttp2_data_source *, void *peer) {
  Stream &stream = ((Http2 *)peer)->At(id);
  size_t len = std::min(size, stream.todo.size());
  memcpy(out, stream.todo.data(), len);
  stream.todo.erase(0, len);
  if (stream.todo.empty() && stream.ends) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  } else if (len == 0) {
    return NGHTTP2_ERR_DEFERRED;
  }
  return (ssize_t)len;
}

Http2::Http2(Client client) : client_(std::move(client)) {
  nghttp2_session_callbacks *callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
  nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
}

Http2::~Http2() {
  nghttp2_session_del(session_);
}

int32_t Http2::Submit(const Fields &fields, const std::string &body, bool ends) {
  std::vector<nghttp2_nv> list;
  for (const auto &field : fields) {
    list.push_back({(uint8_t *)field.first.data(), (uint8_t *)field.second.data(),
                    field.first.size(), field.second.size(), NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider provider = {};
  provider.read_callback = ReadBody;
  bool has_body = !body.empty() || !ends;
  int32_t id = nghttp2_submit_request(session_, nullptr, list.data(), list.size(),
                                      has_body ? &provider : nullptr, nullptr);
  EXPECT_GT(id, 0);
  streams_[id].todo = body;
  streams_[id].ends = ends;
  return id;
}

int32_t Http2::SubmitCall(const Request &request, const Fields &more) {
  Fields fields = more;
  if (!request.token.empty()) {
    fields.emplace_back("tlsagent-token", request.token);
  }
  if (request.timeout_nano > 0) {
    fields.emplace_back("grpc-timeout", std::to_string(request.timeout_nano / 1000000) + "m");
  }
  return Submit(CallFields(request.method, fields), Prefixed(request.payload));
}

void Http2::More(int32_t id, const std::string &body, bool ends) {
  streams_[id].todo += body;
  streams_[id].ends = ends;
  nghttp2_session_resume_data(session_, id);
}

void Http2::Reset(int32_t id, uint32_t error) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, error);
}

std::string Http2::Pending() {
  std::string out;
  const uint8_t *data = nullptr;
  for (ssize_t n = 1; n > 0;) {
    n = nghttp2_session_mem_send(session_, &data);
    EXPECT_GE(n, 0);
    out.append((const char *)data, n > 0 ? (size_t)n : 0);
  }
  return out;
}

void Http2::Flush() {
  client_.Send(Pending());
}

static bool Readable(int fd, int milliseconds) {
  struct pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, milliseconds) == 1;
}

void Http2::PumpSome() {
  Flush();
  while (Readable(client_.fd(), 0) && Pump()) {
  }
}

bool Http2::Pump() {
  Flush();
  if (!Readable(client_.fd(), kPatienceMs)) {
    ADD_FAILURE() << "nothing came";
    return false;
  }
  uint8_t data[65536];
  ssize_t n = recv(client_.fd(), data, sizeof(data), 0);
  if (n <= 0) {
    return false;
  }
  EXPECT_EQ(n, nghttp2_session_mem_recv(session_, data, (size_t)n));
  Flush();
  return true;
}

const Stream &Http2::Await(int32_t id) {
  while (!streams_[id].closed && Pump()) {
  }
  EXPECT_TRUE(streams_[id].closed) << "stream " << id << " never ended";
  return streams_[id];
}

bool Http2::AtEnd() {
  while (Pump()) {
  }
  return !testing::Test::HasFatalFailure();
}
