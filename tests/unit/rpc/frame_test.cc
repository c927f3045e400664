#include "server/rpc/frame.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

// What a reader said about a stream of bytes, in the order it was said.
struct Heard {
  std::vector<std::string> frames;  // "id/type/flags:body", or "id/type/flags skipped"
  bool malformed = false;
};

class Frames : public testing::Test {
 protected:
  void SetUp() override {
    frame_reader_init(&reader_);
  }
  void TearDown() override {
    frame_reader_cleanup(&reader_);
  }

  std::string Name() {
    const struct frame_header *header = &reader_.header;
    return std::to_string(header->stream_id) + "/" + std::to_string(header->type) + "/" +
           std::to_string(header->flags);
  }

  // Frames with an even id are skipped.
  void Feed(const std::string &bytes, Heard *heard) {
    std::vector<char> exact(bytes.begin(), bytes.end());  // so that ASan sees one byte too many
    struct slice chunk = slice_of(exact.data(), exact.size());
    for (;;) {
      struct slice body = slice_of(NULL, 0);
      switch (frame_next(&reader_, &chunk, &body)) {
        case FRAME_BEGINS:
          if (reader_.header.stream_id % 2 == 0) {
            frame_skip(&reader_);
          }
          break;
        case FRAME_COMPLETE:
          heard->frames.push_back(Name() + ":" + std::string((const char *)body.data, body.len));
          break;
        case FRAME_SKIPPED:
          heard->frames.push_back(Name() + " skipped");
          break;
        case FRAME_PARTIAL:
          EXPECT_EQ(0u, chunk.len);
          EXPECT_GT(frame_missing(&reader_), 0u);
          return;
        case FRAME_MALFORMED:
          heard->malformed = true;
          return;
        case FRAME_NO_MEMORY:
          FAIL() << "no memory";
      }
    }
  }

  struct frame_reader reader_;
};

const std::string kThree = Frame(1, 1, "first") + Frame(2, 1, "skipped body") + Frame(3, 3, "", 5) +
                           Frame(5, 1, std::string(300, 'x'));
const std::vector<std::string> kThreeHeard = {"1/1/0:first", "2/1/0 skipped",
                                              "3/3/5:", "5/1/0:" + std::string(300, 'x')};

TEST_F(Frames, AreSeveralInOneChunkSeveral) {
  Heard heard;
  Feed(kThree, &heard);
  EXPECT_EQ(kThreeHeard, heard.frames);
}

TEST_F(Frames, DoesATornFrameComeOutWhereverItIsTorn) {
  for (size_t cut = 0; cut <= kThree.size(); cut++) {
    Heard heard;
    Feed(kThree.substr(0, cut), &heard);
    Feed(kThree.substr(cut), &heard);
    ASSERT_EQ(kThreeHeard, heard.frames) << "torn at " << cut;
  }
}

TEST_F(Frames, DoTheyComeOutByteByByte) {
  Heard heard;
  for (char c : kThree) {
    Feed(std::string(1, c), &heard);
  }
  EXPECT_EQ(kThreeHeard, heard.frames);
}

TEST_F(Frames, DoesAnyCuttingGiveTheSame) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; round++) {
    Heard heard;
    for (size_t at = 0; at < kThree.size();) {
      size_t n = 1 + random() % 60;
      Feed(kThree.substr(at, n), &heard);
      at += n;
    }
    ASSERT_EQ(kThreeHeard, heard.frames);
  }
}

TEST_F(Frames, IsABodyThatIsWholeNotCopied) {
  std::string bytes = Frame(1, 1, "whole");
  struct slice chunk = slice_of(bytes.data(), bytes.size());
  struct slice body;
  ASSERT_EQ(FRAME_BEGINS, frame_next(&reader_, &chunk, &body));
  ASSERT_EQ(FRAME_COMPLETE, frame_next(&reader_, &chunk, &body));
  EXPECT_EQ((const uint8_t *)bytes.data() + 10, body.data);
  EXPECT_EQ(nullptr, reader_.body.data);
}

TEST_F(Frames, IsAnyFirstByteButZeroMalformedAtOnce) {
  for (int first = 1; first < 256; first++) {
    Heard heard;
    Feed(std::string(1, (char)first), &heard);
    EXPECT_TRUE(heard.malformed);
    frame_reader_init(&reader_);
  }
}

TEST_F(Frames, IsALaterHeaderThatIsNoneMalformedToo) {
  Heard heard;
  Feed(Frame(1, 1, "good") + "PRI * HTTP/2.0", &heard);
  EXPECT_EQ(1u, heard.frames.size());
  EXPECT_TRUE(heard.malformed);
}

TEST_F(Frames, IsLittleClaimedForWhatHasNotCome) {
  std::string bytes = Header(4 << 20, 1, 1) + std::string(1000, 'x');
  Heard heard;
  for (char c : bytes) {
    Feed(std::string(1, c), &heard);
  }
  EXPECT_EQ(1000u, bytes_len(&reader_.body));
  EXPECT_LE(reader_.body.capacity, 128u << 10);
  EXPECT_EQ((4u << 20) - 1000, frame_missing(&reader_));
}

TEST_F(Frames, DoesASkippedFrameHoldNothing) {
  std::string bytes = Header(0xffffff, 2, 1) + std::string(100000, 'x');
  Heard heard;
  Feed(bytes, &heard);
  EXPECT_EQ(nullptr, reader_.body.data);
  EXPECT_EQ(0xffffffu - 100000, frame_missing(&reader_));
  EXPECT_TRUE(heard.frames.empty());
}

TEST_F(Frames, DoesABodyGiveItsMemoryBackWhenItIsDone) {
  Heard heard;
  std::string bytes = Frame(1, 1, std::string(100000, 'x'));
  Feed(bytes.substr(0, 50000), &heard);
  EXPECT_NE(nullptr, reader_.body.data);
  Feed(bytes.substr(50000), &heard);
  EXPECT_EQ(1u, heard.frames.size());
  EXPECT_EQ(nullptr, reader_.body.data);
}

TEST_F(Frames, IsAHeaderWrittenAsItIsRead) {
  uint8_t bytes[FRAME_HEADER_BYTES];
  struct frame_header header = {0x00010203, 0x04050607, 8, 9};
  frame_header_write(bytes, &header);
  EXPECT_EQ(Header(0x00010203, 0x04050607, 8, 9), std::string((char *)bytes, sizeof(bytes)));
}

TEST_F(Frames, IsTheLargestFrameKept) {
  Heard heard;
  Feed(Header(FRAME_LENGTH_MAX, 1, 1) + std::string(FRAME_LENGTH_MAX - 1, 'x'), &heard);
  EXPECT_TRUE(heard.frames.empty());
  Feed("x", &heard);
  ASSERT_EQ(1u, heard.frames.size());
  EXPECT_EQ(FRAME_LENGTH_MAX + strlen("1/1/0:"), heard.frames[0].size());
}

TEST_F(Frames, IsALargerOneThatIsKeptByMistakeSkippedAndNotStored) {
  std::string bytes = Header(FRAME_LENGTH_MAX + 1, 1, 1);
  std::string body(FRAME_LENGTH_MAX, 'x');
  struct slice chunk = slice_of(bytes.data(), bytes.size());
  struct slice out;
  ASSERT_EQ(FRAME_BEGINS, frame_next(&reader_, &chunk, &out));
  chunk = slice_of(body.data(), body.size());
  ASSERT_EQ(FRAME_PARTIAL, frame_next(&reader_, &chunk, &out));
  chunk = slice_of(body.data(), 1);
  EXPECT_EQ(FRAME_NO_MEMORY, frame_next(&reader_, &chunk, &out));
  EXPECT_EQ(FRAME_SKIPPED, frame_next(&reader_, &chunk, &out));
  EXPECT_EQ(nullptr, reader_.body.data);
}

}  // namespace
