#include "tests/unit/daemon/harness.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

static std::string TextOf(FILE *file) {
  std::string text;
  rewind(file);
  for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
    text += (char)c;
  }
  fclose(file);
  return text;
}

CommandLine::CommandLine(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  arguments_.insert(arguments_.begin(), "tlsagentd");
  std::vector<char *> argv;
  for (std::string &argument : arguments_) {
    argv.push_back(&argument[0]);
  }
  argv.push_back(nullptr);
  FILE *out_file = tmpfile();
  FILE *err_file = tmpfile();
  outcome = options_read((int)arguments_.size(), argv.data(), out_file, err_file, &options);
  out = TextOf(out_file);
  err = TextOf(err_file);
}

bool Exists(const std::string &path) {
  struct stat file;
  return lstat(path.c_str(), &file) == 0;
}

static socklen_t MakeAddress(const std::string &text, struct sockaddr_un *out) {
  *out = {};
  out->sun_family = AF_UNIX;
  memcpy(out->sun_path, text.data(), text.size());
  if (text[0] != '@') {
    return sizeof(*out);
  }
  out->sun_path[0] = '\0';
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + text.size());
}

int ConnectTo(const std::string &text) {
  struct sockaddr_un address;
  socklen_t len = MakeAddress(text, &address);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, len) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int ListenAt(const std::string &text, int type) {
  struct sockaddr_un address;
  socklen_t len = MakeAddress(text, &address);
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, bind(fd, (struct sockaddr *)&address, len));
  if (type == SOCK_STREAM) {
    EXPECT_EQ(0, listen(fd, 8));
  }
  return fd;
}

pid_t StartChild(const std::function<int()> &run) {
  fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    _exit(run());
  }
  EXPECT_GT(child, 0);
  return child;
}

int WaitForChild(pid_t child) {
  int status = 0;
  if (!Eventually([&] { return waitpid(child, &status, WNOHANG) == child; })) {
    ADD_FAILURE() << "the child does not end";
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  return status;
}

int StatusOfChild(const std::function<int()> &run) {
  return WaitForChild(StartChild(run));
}
