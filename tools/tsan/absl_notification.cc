// absl_mutex.cc's sibling: what happened before Notify() has happened before
// what comes after WaitForNotification(), which ThreadSanitizer cannot see in
// a library that was not compiled for it.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace {

template <class Function>
Function Real(const char* symbol) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, symbol));
}

void Acquire(const void* notification) { __tsan_acquire(const_cast<void*>(notification)); }

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Notification::Notify() {
  static auto* const real =
      Real<void (*)(Notification*)>("_ZN4absl7debian312Notification6NotifyEv");
  __tsan_release(this);
  real(this);
}

void Notification::WaitForNotification() const {
  static auto* const real =
      Real<void (*)(const Notification*)>("_ZNK4absl7debian312Notification19WaitForNotificationEv");
  real(this);
  Acquire(this);
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static auto* const real = Real<bool (*)(const Notification*, Duration)>(
      "_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE");
  bool notified = real(this, timeout);
  if (notified) Acquire(this);
  return notified;
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  static auto* const real = Real<bool (*)(const Notification*, Time)>(
      "_ZNK4absl7debian312Notification31WaitForNotificationWithDeadlineENS0_4TimeE");
  bool notified = real(this, deadline);
  if (notified) Acquire(this);
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl
