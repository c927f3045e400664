// Whether tests may pause one of OpenSSL's fibres and go back to it.
#ifndef TLSAGENT_TESTS_SUPPORT_FIBRES_H_
#define TLSAGENT_TESTS_SUPPORT_FIBRES_H_

// ThreadSanitizer follows setjmp and longjmp by the height of the stack, and ends the program when
// a fibre, whose stack lies elsewhere, is gone back to.
inline bool CanGoBackToFibres() {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  return false;
#endif
#endif
  return true;
}

#endif  // TLSAGENT_TESTS_SUPPORT_FIBRES_H_
