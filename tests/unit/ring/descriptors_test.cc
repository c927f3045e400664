#include "server/ring/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "tests/unit/ring/ring_fixture.h"

namespace {

// Control data made by hand: the kernel would never make most of it.
class Control {
 public:
  void Add(int level, int type, const std::vector<int> &values) {
    AddRaw(CMSG_LEN(values.size() * sizeof(int)), level, type, values);
  }
  void AddRaw(size_t cmsg_len, int level, int type, const std::vector<int> &values) {
    cmsghdr header = {};
    header.cmsg_len = cmsg_len;
    header.cmsg_level = level;
    header.cmsg_type = type;
    Append(&header, sizeof(header));
    Append(values.data(), values.size() * sizeof(int));
    data.resize(CMSG_ALIGN(data.size()));
  }
  std::vector<uint8_t> data;

 private:
  void Append(const void *bytes, size_t len) {
    const uint8_t *from = static_cast<const uint8_t *>(bytes);
    data.insert(data.end(), from, from + len);
  }
};

int DevNull() {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

descriptors Parse(const Control &control, int flags = 0) {
  descriptors parsed;
  descriptors_parse(getuid(), control.data.data(), control.data.size(), flags, &parsed);
  return parsed;
}

TEST(Descriptors, IsNothingFoundInNothing) {
  descriptors parsed = Parse(Control());
  EXPECT_EQ(0u, parsed.num);
  EXPECT_EQ(0u, parsed.dropped);
}

TEST(Descriptors, AreAllFoundInSeveralParts) {
  Control control;
  control.Add(SOL_SOCKET, SCM_RIGHTS, {101, 102, 103});
  control.Add(SOL_SOCKET, SCM_CREDENTIALS, {1, 2, 3});
  control.Add(SOL_SOCKET, SCM_RIGHTS, {104});
  descriptors parsed = Parse(control);
  ASSERT_EQ(4u, parsed.num);
  for (int i = 0; i < 4; i++) {
    EXPECT_EQ(101 + i, parsed.fds[i]);
  }
}

TEST(Descriptors, AreThoseTooManyClosed) {
  int before = NumOpenFds();
  {
    Control control;
    std::vector<int> fds;
    for (int i = 0; i < 20; i++) {
      fds.push_back(DevNull());
    }
    control.Add(SOL_SOCKET, SCM_RIGHTS, fds);
    descriptors parsed = Parse(control);
    EXPECT_EQ(16u, parsed.num);
    EXPECT_EQ(4u, parsed.dropped);
    descriptors_close(getuid(), &parsed);
    EXPECT_EQ(0u, parsed.num);
  }
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

TEST(Descriptors, IsATruncationCounted) {
  EXPECT_EQ(1u, Parse(Control(), MSG_CTRUNC).dropped);
}

TEST(Descriptors, IsBrokenControlDataHarmless) {
  for (size_t cmsg_len : {size_t{0}, size_t{1}, sizeof(cmsghdr) - 1, size_t{1000}, SIZE_MAX}) {
    Control control;
    control.AddRaw(cmsg_len, SOL_SOCKET, SCM_RIGHTS, {1, 2});
    EXPECT_EQ(0u, Parse(control).num) << cmsg_len;
  }
  Control cut;
  cut.Add(SOL_SOCKET, SCM_RIGHTS, {101});
  cut.data.resize(sizeof(cmsghdr) - 1);
  EXPECT_EQ(0u, Parse(cut).num);
}

TEST(Descriptors, IsWhatIsAttachedWhatIsParsed) {
  for (size_t num : {1, 2, 3, 16}) {
    std::vector<int> fds;
    for (size_t i = 0; i < num; i++) {
      fds.push_back(static_cast<int>(1000 + i));
    }
    msghdr message = {};
    descriptors_out out;
    descriptors_attach(&message, &out, fds.data(), num);
    descriptors parsed;
    descriptors_parse(getuid(), static_cast<uint8_t *>(message.msg_control), message.msg_controllen,
                      0, &parsed);
    ASSERT_EQ(num, parsed.num);
    EXPECT_EQ(0, memcmp(fds.data(), parsed.fds, num * sizeof(int)));
  }
}

}  // namespace
