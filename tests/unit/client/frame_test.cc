// Is the stream cut into the frames that were sent, however the bytes arrive?

#include "client/c/frame.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

#include "client/c/tlsagent.h"
#include "tests/unit/client/fake_daemon.h"

namespace {

class Reader {
 public:
  Reader() : reader_(new tla_frame_reader()) {}
  ~Reader() {
    tla_frame_reader_free(reader_);
    delete reader_;
  }

  // Puts bytes where the reader wants them, at most `most` at a time, and cuts after each.
  tla_frame_result Feed(const std::string &bytes, size_t most) {
    size_t at = 0;
    tla_frame_result result = TLA_FRAME_PARTIAL;
    while (at < bytes.size() && result == TLA_FRAME_PARTIAL) {
      struct iovec places[2];
      const size_t num = tla_frame_reader_space(reader_, places);
      size_t len = 0;
      for (size_t i = 0; i < num; i++) {
        const size_t some = std::min({most - len, bytes.size() - at, places[i].iov_len});
        memcpy(places[i].iov_base, bytes.data() + at, some);
        at += some;
        len += some;
      }
      EXPECT_GT(len, 0U) << "there is always space after PARTIAL";
      tla_frame_reader_received(reader_, len);
      result = Cut();
    }
    return result;
  }

  struct Got {
    uint32_t stream;
    uint8_t type;
    std::string body;
  };
  std::vector<Got> frames;

 private:
  tla_frame_result Cut() {
    tla_frame frame;
    tla_frame_result result;
    while ((result = tla_frame_reader_next(reader_, &frame)) == TLA_FRAME_COMPLETE) {
      frames.push_back({frame.stream_id, frame.type,
                        std::string(reinterpret_cast<char *>(frame.body), frame.body_len)});
      free(frame.body);
    }
    return result;
  }

  tla_frame_reader *reader_;
};

std::string Text(size_t len) {
  std::string text(len, '\0');
  for (size_t i = 0; i < len; i++) {
    text[i] = static_cast<char>(i * 31 + (i >> 8));
  }
  return text;
}

TEST(Frame, AreFramesTornAtEveryByteWhole) {
  const std::string first = Text(70);
  const std::string bytes = Frame(1, 2, first) + Frame(3, 2, "") + Frame(5, 3, "data");
  for (size_t tear = 0; tear <= bytes.size(); tear++) {
    Reader reader;
    EXPECT_EQ(reader.Feed(bytes.substr(0, tear), SIZE_MAX), TLA_FRAME_PARTIAL);
    EXPECT_EQ(reader.Feed(bytes.substr(tear), SIZE_MAX), TLA_FRAME_PARTIAL);
    ASSERT_EQ(reader.frames.size(), 3U) << tear;
    EXPECT_EQ(reader.frames[0].body, first);
    EXPECT_EQ(reader.frames[0].stream, 1U);
    EXPECT_EQ(reader.frames[1].body, "");
    EXPECT_EQ(reader.frames[2].type, 3);
    EXPECT_EQ(reader.frames[2].body, "data");
  }
}

TEST(Frame, AreFramesOfEverySizeWholeInEveryStep) {
  for (const size_t size : {0U, 1U, 9U, 16373U, 16374U, 16375U, 16384U, 40000U, 300000U}) {
    for (const size_t step : {1U, 7U, 4096U, 16384U, 1000000U}) {
      if (size / step > 50000) {
        continue;
      }
      Reader reader;
      const std::string body = Text(size);
      EXPECT_EQ(reader.Feed(Frame(7, 2, body) + Frame(9, 2, "x") + Frame(11, 2, body), step),
                TLA_FRAME_PARTIAL);
      ASSERT_EQ(reader.frames.size(), 3U) << size << " by " << step;
      EXPECT_EQ(reader.frames[0].body, body);
      EXPECT_EQ(reader.frames[1].body, "x");
      EXPECT_EQ(reader.frames[2].body, body);
    }
  }
}

TEST(Frame, IsTheLargestFrameTaken) {
  Reader reader;
  EXPECT_EQ(reader.Feed(Frame(1, 2, std::string(TLSAGENT_FRAME_MAX, 'x')), 1 << 20),
            TLA_FRAME_PARTIAL);
  EXPECT_EQ(reader.frames.size(), 1U);
}

TEST(Frame, IsALengthOverTheLimitRefusedByItsHeaderAlone) {
  const std::string too_long = std::string("\x00\x40\x00\x01", 4) + std::string(6, '\0');
  const std::string not_ours = "HTTP/1.1 4";
  for (const std::string &header : {too_long, not_ours, std::string(10, '\xFF')}) {
    Reader reader;
    EXPECT_EQ(reader.Feed(header, SIZE_MAX), TLA_FRAME_MALFORMED);
  }
}

TEST(Frame, DoesAFrameThatNeverEndsLeakNothing) {
  Reader reader;
  EXPECT_EQ(reader.Feed(Frame(1, 2, Text(100000)).substr(0, 50000), 4096), TLA_FRAME_PARTIAL);
  EXPECT_TRUE(reader.frames.empty());
}

TEST(Frame, IsTheHeaderWrittenAsItIsRead) {
  uint8_t header[TLA_FRAME_HEADER];
  tla_frame_header(header, 0x00010203, 0x04050607);
  EXPECT_EQ(std::string(reinterpret_cast<char *>(header), sizeof(header)),
            std::string("\x00\x01\x02\x03\x04\x05\x06\x07\x01\x00", 10));
}

}  // namespace
