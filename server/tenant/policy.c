#include "server/tenant/policy.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { TARGET_MAX = 512 };

bool policy_pattern_valid(const char *pattern) {
  const char *colon = strrchr(pattern, ':');
  return colon != NULL && colon != pattern && colon[1] != '\0' && strchr(colon + 1, ']') == NULL;
}

static bool same_letter(char a, char b) {
  return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static bool same_character(char a, char b) {
  return a == b;
}

// Matches * and ?, and nothing else: fnmatch(3) would take the brackets of an IPv6 address for a
// set. On a mismatch the last * takes one character more, so the time is at most the product of
// lengths.
static bool matches(const char *pattern, const char *text, bool (*same)(char a, char b)) {
  const char *star = NULL;
  const char *star_text = NULL;
  while (*text != '\0') {
    if (*pattern == '*') {
      star = pattern++;
      star_text = text;
    } else if (*pattern == '?' || same(*pattern, *text)) {
      pattern++;
      text++;
    } else if (star != NULL) {
      pattern = star + 1;
      text = ++star_text;
    } else {
      return false;
    }
  }
  while (*pattern == '*') {
    pattern++;
  }
  return *pattern == '\0';
}

bool policy_allows_dial(const struct policy *policy, const char *host, uint16_t port) {
  char target[TARGET_MAX];
  bool address6 = strchr(host, ':') != NULL;
  int len = snprintf(target, sizeof(target), address6 ? "[%s]:%u" : "%s:%u", host, port);
  if (len < 0 || (size_t)len >= sizeof(target)) {
    return false;
  }
  for (size_t i = 0; i < policy->num_dial_patterns; i++) {
    if (matches(policy->dial_patterns[i], target, same_letter)) {
      return true;
    }
  }
  return false;
}

bool policy_allows_unix(const struct policy *policy, const char *path) {
  static const char scheme[] = "unix:";
  const size_t len = sizeof(scheme) - 1;
  for (size_t i = 0; i < policy->num_dial_patterns; i++) {
    const char *pattern = policy->dial_patterns[i];
    if (strncmp(pattern, scheme, len) == 0 && matches(pattern + len, path, same_character)) {
      return true;
    }
  }
  return false;
}
