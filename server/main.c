// tlsagentd: reads its options, runs, ends.
#include <stdio.h>

#include "server/daemon/daemon.h"
#include "server/daemon/options.h"

int main(int argc, char **argv) {
  static struct options options;
  switch (options_read(argc, argv, stdout, stderr, &options)) {
    case OPTIONS_SHOWN:
      return 0;
    case OPTIONS_WRONG:
      return 2;
    case OPTIONS_RUN:
      break;
  }
  return daemon_run(&options);
}
