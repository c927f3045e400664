// What is made of records beside data, and of sockets that are none of the kernel's TLS. The rest
// takes a kernel that has it: tests/ktls.
#include "client/c/kernel_tls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

enum { kAlert = 21, kHandshake = 22, kData = 23, kHeartbeat = 24 };

struct Taken {
  enum tlsagent_state state;
  struct tlsagent_error error = {};
};

Taken Take(int kind, const std::string &data) {
  Taken taken;
  taken.state =
      tla_take_record((uint8_t)kind, (const uint8_t *)data.data(), data.size(), &taken.error);
  return taken;
}

std::string Message(int type, size_t len) {
  return std::string{(char)type, (char)(len >> 16), (char)(len >> 8), (char)len} +
         std::string(len, 'x');
}

TEST(KernelTlsRecords, IsDataData) {
  EXPECT_EQ(Take(kData, "x").state, TLSAGENT_STATE_DONE);
  EXPECT_EQ(Take(kData, "").state, TLSAGENT_STATE_WANT_READ) << "an empty record is no end";
}

TEST(KernelTlsRecords, IsOnlyCloseNotifyAnEnd) {
  EXPECT_EQ(Take(kAlert, std::string("\1\0", 2)).state, TLSAGENT_STATE_CLOSED);
  EXPECT_EQ(Take(kAlert, "\1\x5a").state, TLSAGENT_STATE_WANT_READ);
  Taken fatal = Take(kAlert, "\2\x28");
  EXPECT_EQ(fatal.state, TLSAGENT_STATE_FAILED);
  EXPECT_EQ(fatal.error.fault, TLSAGENT_FAULT_TLS);
  EXPECT_TRUE(fatal.error.tls.alert.given);
  EXPECT_EQ(fatal.error.tls.alert.value, 40u);
  EXPECT_EQ(Take(kAlert, "\1").state, TLSAGENT_STATE_FAILED);
  EXPECT_EQ(Take(kAlert, "").state, TLSAGENT_STATE_FAILED);
  Taken cut = Take(0, "");
  EXPECT_EQ(cut.state, TLSAGENT_STATE_FAILED);
  EXPECT_EQ(cut.error.tls.kind, TLSAGENT_ERROR_TRUNCATED);
}

TEST(KernelTlsRecords, AreTicketsPassedOverAndOthersNot) {
  EXPECT_EQ(Take(kHandshake, Message(4, 300)).state, TLSAGENT_STATE_WANT_READ);
  EXPECT_EQ(Take(kHandshake, Message(4, 300) + Message(4, 0)).state, TLSAGENT_STATE_WANT_READ);
  Taken keys = Take(kHandshake, Message(4, 9) + Message(24, 1));
  EXPECT_EQ(keys.state, TLSAGENT_STATE_FAILED);
  EXPECT_NE(std::string(keys.error.message).find("changed its keys"), std::string::npos);
  EXPECT_EQ(Take(kHandshake, Message(13, 40)).state, TLSAGENT_STATE_FAILED);
  EXPECT_EQ(Take(kHeartbeat, "xx").state, TLSAGENT_STATE_FAILED);
}

TEST(KernelTlsRecords, IsAMessageThatIsCutOffAFailure) {
  const std::string whole = Message(4, 70000);
  for (size_t len : {1u, 3u, 4u, 5u, 16384u, 70003u}) {
    EXPECT_EQ(Take(kHandshake, whole.substr(0, len)).state, TLSAGENT_STATE_FAILED) << len;
  }
  EXPECT_EQ(Take(kHandshake, whole).state, TLSAGENT_STATE_WANT_READ);
  EXPECT_EQ(Take(kHandshake, "\4\xff\xff\xff").state, TLSAGENT_STATE_FAILED);
}

class KernelTlsSockets : public testing::Test {
 protected:
  KernelTlsSockets() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_), 0);
  }
  ~KernelTlsSockets() override {
    close(fds_[0]);
    close(fds_[1]);
  }
  enum tlsagent_state Read() {
    return tlsagent_kernel_tls_read(fds_[0], &len_, buffer_.data(), buffer_.size(), &error_);
  }
  int fds_[2];
  size_t len_ = 1;
  std::vector<char> buffer_ = std::vector<char>(TLSAGENT_KERNEL_TLS_RECORD);
  struct tlsagent_error error_ = {};
};

TEST_F(KernelTlsSockets, IsABufferTooSmallForARecordRefused) {
  buffer_.resize(TLSAGENT_KERNEL_TLS_RECORD - 1);
  EXPECT_EQ(Read(), TLSAGENT_STATE_FAILED);
  EXPECT_EQ(error_.fault, TLSAGENT_FAULT_USAGE);
  EXPECT_EQ(len_, 0u);
}

TEST_F(KernelTlsSockets, IsNothingYetNoFailure) {
  fcntl(fds_[0], F_SETFL, O_NONBLOCK);
  EXPECT_EQ(Read(), TLSAGENT_STATE_WANT_READ);
  EXPECT_EQ(error_.fault, TLSAGENT_FAULT_NONE);
}

TEST_F(KernelTlsSockets, IsABareEndATruncation) {
  shutdown(fds_[1], SHUT_WR);
  EXPECT_EQ(Read(), TLSAGENT_STATE_FAILED);
  EXPECT_EQ(error_.tls.kind, TLSAGENT_ERROR_TRUNCATED);
}

TEST_F(KernelTlsSockets, IsAPlainSocketNotReadAsIfItWereSafe) {
  ASSERT_EQ(write(fds_[1], "plain", 5), 5);
  EXPECT_EQ(Read(), TLSAGENT_STATE_FAILED);
  EXPECT_EQ(len_, 0u);
  EXPECT_NE(std::string(error_.message).find("does no TLS"), std::string::npos);
}

TEST_F(KernelTlsSockets, IsNoAlertSentAsData) {
  EXPECT_FALSE(tlsagent_kernel_tls_finish(fds_[0], &error_));
  EXPECT_EQ(error_.fault, TLSAGENT_FAULT_USAGE);
  char byte;
  EXPECT_EQ(recv(fds_[1], &byte, 1, MSG_DONTWAIT), -1);
}

TEST_F(KernelTlsSockets, IsAFailureOfTheSystemTold) {
  size_t len;
  EXPECT_EQ(tlsagent_kernel_tls_read(-1, &len, buffer_.data(), buffer_.size(), &error_),
            TLSAGENT_STATE_FAILED);
  EXPECT_EQ(error_.tls.kind, TLSAGENT_ERROR_OS);
  EXPECT_EQ(error_.tls.os_errno, (uint32_t)EBADF);
}

}  // namespace
