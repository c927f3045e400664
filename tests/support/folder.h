// A folder of the test's own, gone with it. It lies in /tmp, not below Bazel's own folders, whose
// names are longer than a Unix socket's path may be (unix(7)).
#ifndef TLSAGENT_TESTS_SUPPORT_FOLDER_H_
#define TLSAGENT_TESTS_SUPPORT_FOLDER_H_

#include <stdio.h>
#include <stdlib.h>

#include <string>

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/tlsagent-test-XXXXXX";
    if (mkdtemp(name) == nullptr) {
      perror(name);
      abort();
    }
    path_ = name;
  }
  ~Folder() {
    if (system(("rm -rf '" + path_ + "'").c_str()) != 0) {
      abort();
    }
  }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;

  std::string operator/(const std::string &name) const {
    return path_ + "/" + name;
  }

  const std::string &path() const {
    return path_;
  }

 private:
  std::string path_;
};

#endif  // TLSAGENT_TESTS_SUPPORT_FOLDER_H_
