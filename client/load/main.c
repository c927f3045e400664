// tlsagent-load: loads a TLS server, and says how it bears it.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/load/compare.h"
#include "client/load/options.h"
#include "client/load/report.h"
#include "client/load/run.h"
#include "client/load/units.h"

enum exit_code { EXIT_GOOD = 0, EXIT_NOTHING = 1, EXIT_USAGE = 2, EXIT_ASSERTION = 3 };

static void tell_failure(const struct assertion *assertion, double found) {
  char text[UNITS_TEXT_MAX];
  fprintf(stderr, "tlsagent-load: assertion failed: %s: ", assertion->text);
  if (!isfinite(found)) {
    fprintf(stderr, "there was none\n");
    return;
  }
  fprintf(stderr, "it is %s\n",
          assertion_is_time(assertion) ? units_show_nanos(found, text)
                                       : units_show_number(found, text));
}

// True when all of them hold; says of each that doesn't what was there.
static bool check_assertions(const struct result *result) {
  const struct options *options = result->options;
  bool all = true;
  for (size_t i = 0; i < options->num_assertions; i++) {
    const struct assertion *assertion = &options->assertions[i];
    double found = 0;
    if (!assertion_holds(assertion, result, &found)) {
      tell_failure(assertion, found);
      all = false;
    }
  }
  return all;
}

static enum exit_code report(const struct result *result) {
  bool written = report_all(result);
  bool holds = check_assertions(result);
  if (result->stats.counts.operations == 0) {
    fprintf(stderr, "tlsagent-load: not one operation was done\n");
    return EXIT_NOTHING;
  }
  if (!written) {
    return EXIT_NOTHING;
  }
  return holds ? EXIT_GOOD : EXIT_ASSERTION;
}

static enum exit_code load(const struct options *options) {
  struct result result;
  char why[512];
  enum exit_code code = EXIT_NOTHING;
  enum run_outcome outcome = run_execute(options, &result, why, sizeof(why));
  if (outcome == RUN_DONE) {
    code = report(&result);
  } else {
    fprintf(stderr, "tlsagent-load: %s\n", why);
    code = outcome == RUN_NONSENSE ? EXIT_USAGE : EXIT_NOTHING;
  }
  result_cleanup(&result);
  return code;
}

int main(int argc, char **argv) {
  static struct options options;
  if (argc > 1 && strcmp(argv[1], "compare") == 0) {
    return compare_main(argc - 2, argv + 2);
  }
  switch (options_read(argc, argv, stdout, stderr, &options)) {
    case OPTIONS_SHOWN:
      return report_flush() ? EXIT_GOOD : EXIT_NOTHING;
    case OPTIONS_WRONG:
      return EXIT_USAGE;
    case OPTIONS_RUN:
      break;
  }
  return load(&options);
}
