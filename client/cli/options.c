#include "client/cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const struct option_row GLOBAL_OPTIONS[] = {
    {"socket", 'S', OPTION_TEXT, offsetof(struct cli, socket), "ADDRESS",
     "the daemon: unix:PATH or unix:@NAME (default: $TLSAGENT_SOCKET)"},
    {"timeout", 't', OPTION_SECONDS, offsetof(struct cli, timeout_ms), "SECONDS",
     "give up a connection, handshake or call after so long (default: 30)"},
    {"json", 'j', OPTION_FLAG, offsetof(struct cli, json), NULL, "JSON for programs"},
    {"quiet", 'q', OPTION_FLAG, offsetof(struct cli, quiet), NULL, "say only what was asked for"},
};
const size_t NUM_GLOBAL_OPTIONS = COUNT(GLOBAL_OPTIONS);

// --- One argument of each kind ---

typedef bool parse_kind(const char *text, void *out);

static bool parse_string(const char *text, void *out) {
  *(const char **)out = text;
  return true;
}

// An empty text comes from a variable that isn't set: taken for "not given", it would turn off what
// the option asks for, such as a check.
static bool parse_text(const char *text, void *out) {
  return text[0] != '\0' && parse_string(text, out);
}

static bool parse_size(const char *text, void *out) {
  char *end;
  errno = 0;
  const unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || *end != '\0' || end == text || text[0] == '-' || value > UINT32_MAX) {
    return false;
  }
  *(uint32_t *)out = (uint32_t)value;
  return true;
}

static bool parse_number(const char *text, void *out) {
  return parse_size(text, out) && *(uint32_t *)out != 0;
}

static bool parse_seconds(const char *text, void *out) {
  char *end;
  const double value = strtod(text, &end);
  if (*end != '\0' || end == text || !(value >= 0.001 && value <= 4e6)) {
    return false;
  }
  *(uint32_t *)out = (uint32_t)(value * 1000);
  return true;
}

static bool parse_version(const char *text, void *out) {
  static const struct {
    const char *name;
    uint32_t version;
  } versions[] = {
      {"1.0", TLSAGENT_PROTOCOL_TLS_1_0},
      {"1.1", TLSAGENT_PROTOCOL_TLS_1_1},
      {"1.2", TLSAGENT_PROTOCOL_TLS_1_2},
      {"1.3", TLSAGENT_PROTOCOL_TLS_1_3},
  };
  const char *name = strncasecmp(text, "tls", 3) == 0 ? text + 3 : text;
  for (size_t i = 0; i < COUNT(versions); i++) {
    if (strcmp(name + (name[0] == 'v'), versions[i].name) == 0) {
      *(uint32_t *)out = versions[i].version;
      return true;
    }
  }
  return false;
}

static const struct {
  parse_kind *parse;
  const char *expected;
} KINDS[OPTION_KINDS] = {
    [OPTION_TEXT] = {parse_text, "a text"},
    [OPTION_STRING] = {parse_string, "a text"},
    [OPTION_NUMBER] = {parse_number, "a number from 1 up"},
    [OPTION_SIZE] = {parse_size, "a number"},
    [OPTION_SECONDS] = {parse_seconds, "seconds, 0.001 to 4000000"},
    [OPTION_VERSION] = {parse_version, "1.0, 1.1, 1.2 or 1.3"},
};

// --- Finding the row ---

// An option as it stands on the command line: "--name", "--name=value", "-n", "-nvalue".
struct word {
  const char *text;
  const char *name;
  size_t name_len;    // 0: a letter
  const char *value;  // NULL: none with it
};

static struct word split(const char *text) {
  if (text[1] != '-') {
    return (struct word){text, text + 1, 0, text[2] == '\0' ? NULL : text + 2};
  }
  const char *equals = strchr(text, '=');
  const size_t len = equals != NULL ? (size_t)(equals - text - 2) : strlen(text + 2);
  return (struct word){text, text + 2, len, equals != NULL ? equals + 1 : NULL};
}

static bool matches(const struct option_row *row, const struct word *word) {
  if (word->name_len == 0) {
    return row->letter != 0 && row->letter == word->name[0];
  }
  return strlen(row->name) == word->name_len && strncmp(row->name, word->name, word->name_len) == 0;
}

static const struct option_row *find(const struct option_row *rows, size_t num_rows,
                                     const struct word *word) {
  for (size_t i = 0; i < num_rows; i++) {
    if (matches(&rows[i], word)) {
      return &rows[i];
    }
  }
  return NULL;
}

// --- What was meant? ---

enum { NAME_MAX_LEN = 32, TYPOS_MAX = 3 };

static unsigned least(unsigned a, unsigned b) {
  return a < b ? a : b;
}

// How many letters have to change to make b of a (Levenshtein).
static unsigned distance(const char *a, size_t a_len, const char *b) {
  unsigned row[NAME_MAX_LEN + 1];
  const size_t b_len = strlen(b);
  if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN) {
    return NAME_MAX_LEN;
  }
  for (unsigned j = 0; j <= b_len; j++) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a_len; i++) {
    unsigned diagonal = row[0];
    row[0] = (unsigned)i;
    for (size_t j = 1; j <= b_len; j++) {
      const unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
    }
  }
  return row[b_len];
}

void guess(struct guess *guess, const char *word, size_t len, const char *name) {
  const unsigned typos = distance(word, len, name);
  if (typos <= TYPOS_MAX && (guess->name == NULL || typos < guess->typos)) {
    *guess = (struct guess){.name = name, .typos = typos};
  }
}

static void guess_option(struct guess *best, const struct option_row *rows, size_t num_rows,
                         const struct word *word) {
  for (size_t i = 0; i < num_rows; i++) {
    guess(best, word->name, word->name_len, rows[i].name);
  }
}

static int complain_unknown(const struct command *command, const struct cli *cli,
                            const struct word *word) {
  struct guess meant = {0};
  if (word->name_len > 1) {
    guess_option(&meant, command->options, command->num_options, word);
    guess_option(&meant, GLOBAL_OPTIONS, NUM_GLOBAL_OPTIONS, word);
  }
  char hint[64] = "";
  if (meant.name != NULL) {
    snprintf(hint, sizeof(hint), " (did you mean --%s?)", meant.name);
  }
  return complain(cli, EXIT_USAGE, "unknown option %s%s; `tlsagent%s%s --help` lists them",
                  word->text, hint, command->name[0] != '\0' ? " " : "", command->name);
}

// --- The command line ---

static int store(const struct cli *cli, const struct option_row *row, const struct word *word,
                 const char *value, void *base) {
  void *out = (char *)base + row->offset;
  if (row->kind == OPTION_FLAG) {
    if (word->value != NULL) {
      return complain(cli, EXIT_USAGE, "--%s takes no value", row->name);
    }
    *(bool *)out = true;
    return EXIT_OK;
  }
  if (value == NULL) {
    return complain(cli, EXIT_USAGE, "--%s needs %s: --%s %s", row->name, KINDS[row->kind].expected,
                    row->name, row->argument);
  }
  if (!KINDS[row->kind].parse(value, out)) {
    return complain(cli, EXIT_USAGE, "--%s takes %s, not \"%s\"", row->name,
                    KINDS[row->kind].expected, value);
  }
  return EXIT_OK;
}

// Parses the option at argv[0] and says in *used how many words it took.
static int parse_one(const struct command *command, struct cli *cli, void *options, int argc,
                     char **argv, int *used) {
  const struct word word = split(argv[0]);
  const struct option_row *row = find(command->options, command->num_options, &word);
  void *base = options;
  if (row == NULL) {
    row = find(GLOBAL_OPTIONS, NUM_GLOBAL_OPTIONS, &word);
    base = cli;
  }
  if (row == NULL) {
    return complain_unknown(command, cli, &word);
  }
  const bool separate = row->kind != OPTION_FLAG && word.value == NULL && argc > 1;
  *used = separate ? 2 : 1;
  return store(cli, row, &word, separate ? argv[1] : word.value, base);
}

int parse_options(const struct command *command, struct cli *cli, void *options, int *argc,
                  char **argv, bool *out_help) {
  int kept = 0;
  int i = 0;
  bool only_arguments = false;
  while (i < *argc) {
    int used = 1;
    if (only_arguments || argv[i][0] != '-' || argv[i][1] == '\0') {
      argv[kept++] = argv[i];
      only_arguments = only_arguments || command->verbatim;
    } else if (strcmp(argv[i], "--") == 0) {
      only_arguments = true;
    } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      *out_help = true;
    } else {
      const int code = parse_one(command, cli, options, *argc - i, argv + i, &used);
      if (code != EXIT_OK) {
        return code;
      }
    }
    i += used;
  }
  if (kept < *argc) {
    argv[kept] = NULL;  // else it is there already, as main() is given it
  }
  *argc = kept;
  return EXIT_OK;
}

// --- Explaining ---

static void print_option(const struct option_row *row) {
  enum { COLUMN = 28 };
  char letter[8] = "    ";
  if (row->letter != 0) {
    snprintf(letter, sizeof(letter), "-%c, ", row->letter);
  }
  const int width = printf("  %s--%s%s%s", letter, row->name, row->argument != NULL ? " " : "",
                           row->argument != NULL ? row->argument : "");
  printf("%*s%s\n", width < COLUMN ? COLUMN - width : 1, "", row->help);
}

void print_options(const struct option_row *options, size_t num_options) {
  for (size_t i = 0; i < num_options; i++) {
    print_option(&options[i]);
  }
}
